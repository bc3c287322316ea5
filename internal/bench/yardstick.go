package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"time"
)

// ServeYardstick serves the bare handler on a free port of the loopback until
// the context ends. What it prints is what a server prints.
func ServeYardstick(ctx context.Context, out io.Writer) error {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/leaderboards/{board}/scores", answerScore)
	mux.HandleFunc("GET /memory", answerMemory)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	fmt.Fprintf(out, "listening on http://%s\n", l.Addr())
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// answerScore decodes a submission and answers with what Laurel would, as a
// program would do it that has neither rules nor a store.
func answerScore(w http.ResponseWriter, r *http.Request) {
	var submission struct {
		Member string  `json:"member"`
		Score  float64 `json:"score"`
	}
	if err := json.NewDecoder(r.Body).Decode(&submission); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	type result struct {
		Member        string  `json:"member"`
		Accepted      bool    `json:"accepted"`
		Score         float64 `json:"score"`
		Rank          int     `json:"rank"`
		PreviousScore float64 `json:"previous_score"`
		PreviousRank  int     `json:"previous_rank"`
	}
	answer := struct {
		Results []result `json:"results"`
		Board   string   `json:"board"`
		Season  int      `json:"season"`
		Rev     uint64   `json:"rev"`
		Epoch   string   `json:"epoch"`
		Total   int      `json:"total"`
	}{
		Results: []result{{submission.Member, true, submission.Score + 100, 17, 100, 18}},
		Board:   r.PathValue("board"), Season: 1, Rev: 123456, Epoch: "b1c2f0a94d7e3865", Total: 1000,
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // the other side has gone
}

// answerMemory answers with the bytes that are in use when the garbage has been collected.
func answerMemory(w http.ResponseWriter, _ *http.Request) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Fprint(w, m.HeapAlloc+m.StackInuse)
}
