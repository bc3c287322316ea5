package client_test

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"laurel/client"
)

// players yields n entries, each with a lower score than the one before.
func players(n int) iter.Seq2[client.Submission, error] {
	return func(yield func(client.Submission, error) bool) {
		for i := range n {
			if !yield(client.Submission{Member: fmt.Sprintf("m%06d", i), Score: client.Int(int64(n - i))}, nil) {
				return
			}
		}
	}
}

func TestImport(t *testing.T) {
	c := newServer(t).client()
	told := 0
	got, err := c.Import(t.Context(), "race", players(5000), client.ImportOptions{Progress: func(p client.ImportProgress) {
		if told = p.Applied; p.Err != nil {
			t.Errorf("told of %v", p.Err)
		}
	}})
	if err != nil || got.Applied != 5000 || told != 5000 || got.Total != 5000 || got.Board != "race" || got.Rev == 0 {
		t.Fatalf("%+v, %v, told of %d", got, err, told)
	}
	i := 0
	for entry, err := range c.All(t.Context(), "race") {
		if err != nil || entry.Member != fmt.Sprintf("m%06d", i) {
			t.Fatalf("entry %d is %s, %v", i, entry.Member, err)
		}
		i++
	}
}

func TestImportNamesTheEntryThatIsWrong(t *testing.T) {
	c := newServer(t).client()
	lines := slices.Repeat([]string{`{"member":"alice","score":1}`}, 2400)
	lines[2000] = `{"member":"bob","score":0.5}`
	got, err := c.ImportLines(t.Context(), "race", func(yield func([]byte, error) bool) {
		for _, line := range lines {
			if !yield([]byte(line), nil) {
				return
			}
		}
	}, client.ImportOptions{Patience: time.Hour})
	wrong, ok := errors.AsType[*client.Error](err)
	if !ok || wrong.Line != 2001 || wrong.Code != "too_many_decimals" || wrong.Member != "bob" || wrong.Status != 400 || got.Applied != 2000 {
		t.Errorf("%+v, %+v", got, err)
	}
	broken := errors.New("the file ends too early")
	got, err = c.Import(t.Context(), "race", func(yield func(client.Submission, error) bool) {
		_ = yield(client.Submission{Member: "carol", Score: "2"}, nil) && yield(client.Submission{}, broken)
	}, client.ImportOptions{})
	if !errors.Is(err, broken) || got.Applied != 1 {
		t.Errorf("%+v, %v; want one entry and %v", got, err, broken)
	}
	stranger, err := client.New(strings.TrimSuffix("http://"+newServer(t).listen, "/"), client.Options{APIKey: "no"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stranger.Close)
	_, err = stranger.Import(t.Context(), "race", players(10), client.ImportOptions{Patience: time.Hour})
	wantCode(t, err, client.CodeUnauthorized)
}

// A server that stops in the middle and comes back later has all of it in the end.
func TestImportGoesOnAfterARestart(t *testing.T) {
	s := newServer(t)
	const n = 30_000
	applied, again := make(chan struct{}), make(chan struct{})
	first, failed := sync.OnceFunc(func() { close(applied) }), sync.OnceFunc(func() { close(again) })
	var restart sync.WaitGroup
	restart.Go(func() {
		<-applied
		s.stop()
		<-again
		s.start()
	})
	interruptions := 0
	got, err := s.client().Import(t.Context(), "race", func(yield func(client.Submission, error) bool) {
		for entry, err := range players(n) {
			if entry.Score == "20000" {
				<-again // until the server has gone, and told so
			}
			if !yield(entry, err) {
				return
			}
		}
	}, client.ImportOptions{Patience: time.Hour, Progress: func(p client.ImportProgress) {
		if p.Applied > 0 {
			first()
		}
		if p.Err != nil {
			interruptions++
			failed()
		}
	}})
	restart.Wait()
	if err != nil || got.Applied != n || got.Total != n || interruptions == 0 {
		t.Fatalf("%+v, %v after %d interruptions", got, err, interruptions)
	}
	page, err := s.client().Entries(t.Context(), "race", client.Range{Offset: n - 1})
	if err != nil || len(page.Entries) != 1 || page.Entries[0].Member != fmt.Sprintf("m%06d", n-1) {
		t.Errorf("the last is %+v, %v", page.Entries, err)
	}
}
