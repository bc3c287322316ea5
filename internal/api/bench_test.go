package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"

	"laurel/internal/auth"
	"laurel/internal/leaderboard"
)

// instantStore accepts everything at once, so that what is measured is the way
// to a store and back.
type instantStore struct{ leaderboard.Store }

func (instantStore) Apply(_ context.Context, b leaderboard.Batch) (leaderboard.Outcome, error) {
	results := make([]leaderboard.Result, len(b.Ops))
	for i, op := range b.Ops {
		score, err := op.Score.Scaled(0)
		if err != nil {
			return leaderboard.Outcome{}, err
		}
		results[i] = leaderboard.Result{
			Member: op.Member, Accepted: true,
			Current:  leaderboard.Standing{Score: score + 100, Rank: 17},
			Previous: leaderboard.Standing{Score: 100, Rank: 18},
		}
	}
	view := leaderboard.View{Board: leaderboard.Board{ID: b.Ops[0].Board}.WithDefaults(), Season: 1, Rev: 123456, Epoch: "b1c2f0a94d7e3865", Total: 1000}
	return leaderboard.Outcome{Results: results, Boards: []leaderboard.View{view}}, nil
}

// plain are the shapes of a submit as a program would write them that has no
// reason to look at its cost.
type (
	plainSubmission struct {
		Member string          `json:"member" minLength:"1" maxLength:"128"`
		Score  float64         `json:"score"`
		Data   json.RawMessage `json:"data,omitempty"`
	}
	plainBatch struct {
		Submissions []plainSubmission `json:"submissions" maxItems:"1000"`
	}
	plainResult struct {
		Member        string   `json:"member"`
		Accepted      bool     `json:"accepted"`
		Reason        string   `json:"reason,omitempty"`
		Score         *float64 `json:"score"`
		Rank          *int     `json:"rank"`
		PreviousScore *float64 `json:"previous_score"`
		PreviousRank  *int     `json:"previous_rank"`
	}
	plainOutcome struct {
		Results []plainResult `json:"results"`
		Board   string        `json:"board"`
		Season  int           `json:"season"`
		Rev     uint64        `json:"rev"`
		Epoch   string        `json:"epoch"`
		Total   int           `json:"total"`
	}
)

func plainAnswer(submissions []plainSubmission) plainOutcome {
	results := make([]plainResult, len(submissions))
	for i, s := range submissions {
		results[i] = plainResult{
			Member: s.Member, Accepted: true,
			Score: new(s.Score + 100), Rank: new(17), PreviousScore: new(100.0), PreviousRank: new(18),
		}
	}
	return plainOutcome{Results: results, Board: "race", Season: 1, Rev: 123456, Epoch: "b1c2f0a94d7e3865", Total: 1000}
}

// bareHandler decodes and encodes with encoding/json, and does nothing else.
func bareHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			plainSubmission
			plainBatch
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		submissions := in.Submissions
		if submissions == nil {
			submissions = []plainSubmission{in.plainSubmission}
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(plainAnswer(submissions)); err != nil {
			panic(err)
		}
	})
}

// humaHandler is what the package would be on huma: it routes, checks the body
// against its schema, decodes and encodes.
func humaHandler() http.Handler {
	mux := http.NewServeMux()
	api := humago.New(mux, huma.DefaultConfig("Laurel", "1"))
	type answer struct{ Body plainOutcome }
	huma.Post(api, "/v1/leaderboards/{board}/scores", func(_ context.Context, in *struct {
		Board string `path:"board"`
		Body  plainSubmission
	},
	) (*answer, error) {
		return &answer{plainAnswer([]plainSubmission{in.Body})}, nil
	})
	huma.Post(api, "/v1/leaderboards/{board}/batches", func(_ context.Context, in *struct {
		Board string `path:"board"`
		Body  plainBatch
	},
	) (*answer, error) {
		return &answer{plainAnswer(in.Body.Submissions)}, nil
	})
	return mux
}

const benchKey = "a-key-for-the-benchmark"

func laurelHandler() http.Handler {
	service := leaderboard.NewService(instantStore{}, leaderboard.ServiceOptions{})
	return New(service, auth.NewKeys(benchKey), Options{Registerer: prometheus.NewRegistry()}).Handler(nil)
}

const benchPath = "/v1/leaderboards/race/scores"

// BenchmarkSubmitHandler compares the API's handler with a bare one and with one
// made by huma: a request in memory to an answer in memory, to a store that
// takes no time.
func BenchmarkSubmitHandler(b *testing.B) {
	batch := batchBody(100)
	single := []byte(`{"member":"player-000017","score":25,"data":{"name":"Player Seventeen","country":"FI"}}`)
	for _, bench := range []struct {
		name    string
		handler http.Handler
		path    string
		body    []byte
	}{
		{"one/laurel", laurelHandler(), benchPath, single},
		{"one/bare", bareHandler(), benchPath, single},
		{"one/huma", humaHandler(), benchPath, single},
		{"hundred/laurel", laurelHandler(), benchPath, batch},
		{"hundred/bare", bareHandler(), benchPath, batch},
		{"hundred/huma", humaHandler(), "/v1/leaderboards/race/batches", batch},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			body := bytes.NewReader(bench.body)
			req := httptest.NewRequestWithContext(b.Context(), http.MethodPost, bench.path, body)
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("X-API-Key", benchKey)
			w := &sink{header: http.Header{}}
			for b.Loop() {
				body.Reset(bench.body)
				clear(w.header)
				w.status = 0
				bench.handler.ServeHTTP(w, req)
				if w.status != 0 && w.status != http.StatusOK {
					b.Fatalf("status %d", w.status)
				}
			}
		})
	}
}

// sink is a writer that keeps only the status.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header               { return s.header }
func (s *sink) WriteHeader(status int)            { s.status = status }
func (s *sink) Write(p []byte) (int, error)       { return len(p), nil }
func (s *sink) SetReadDeadline(_ time.Time) error { return nil }

func batchBody(n int) []byte {
	var body bytes.Buffer
	body.WriteString(`{"submissions":[`)
	for i := range n {
		if i > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"member":"player-%06d","score":%d}`, i, i%50)
	}
	body.WriteString(`]}`)
	return body.Bytes()
}

// BenchmarkSubmitServer sends single submissions over loopback connections, to
// the API and to the bare handler.
func BenchmarkSubmitServer(b *testing.B) {
	for _, bench := range []struct {
		name    string
		handler http.Handler
	}{
		{"laurel", laurelHandler()},
		{"bare", bareHandler()},
	} {
		b.Run(bench.name, func(b *testing.B) {
			server := httptest.NewServer(bench.handler)
			defer server.Close()
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
			defer client.CloseIdleConnections()
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, server.URL+benchPath, bytes.NewReader([]byte(`{"member":"player-000017","score":25}`)))
					if err != nil {
						b.Error(err)
						return
					}
					req.Header.Set("Content-Type", "application/json")
					req.Header.Set("X-API-Key", benchKey)
					res, err := client.Do(req)
					if err != nil {
						b.Error(err)
						return
					}
					_, err = io.Copy(io.Discard, res.Body)
					res.Body.Close()
					if err != nil || res.StatusCode != http.StatusOK {
						b.Errorf("status %d, %v", res.StatusCode, err)
						return
					}
				}
			})
		})
	}
}
