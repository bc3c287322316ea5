//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	laurel "laurel/client"
	"laurel/internal/redisconn"
	"laurel/internal/redistest"
)

// importing starts `laurel import args…`.
func importing(t *testing.T, args ...string) *child {
	t.Helper()
	environ := []string{"LAUREL_API_KEY=" + serverKey}
	for _, name := range inherited {
		environ = append(environ, name+"="+os.Getenv(name))
	}
	c, err := begin(t.TempDir(), environ, append([]string{"import"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill() // what a failed test left behind
		if t.Failed() {
			t.Logf("laurel import printed:\n%s", c.printed())
		}
	})
	return c
}

// A server that is killed in the middle of an import, and comes back, has all of
// it in the end, in its order, although the source can be read only once.
func TestImportSurvivesKilledServers(t *testing.T) {
	data := t.TempDir()
	server := serve(t, "--data", data, "--listen", "127.0.0.1:0")
	c := connectTo(t, server.url)
	fifo := filepath.Join(t.TempDir(), "entries")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	child := importing(t, "--server", server.url, "--board", "race", "--patience", "1h", fifo)
	pipe, err := os.OpenFile(fifo, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	const part, parts = 20_000, 4
	for i := range parts {
		var text strings.Builder
		for n := i * part; n < (i+1)*part; n++ {
			fmt.Fprintf(&text, `{"member":"m%06d","score":%d}`+"\n", n, -n/3)
		}
		if _, err := pipe.WriteString(text.String()); err != nil {
			t.Fatal(err)
		}
		if i == parts-1 {
			break
		}
		// It may be in the middle of this part, or behind it.
		eventually(t, "some of a part is on the board", func() bool {
			board, err := c.Board(t.Context(), "race")
			return err == nil && board.Total > i*part
		})
		server.end()
		if i == 0 { // it is told again only if the import has come further in between
			if _, err := child.await(regexp.MustCompile(`waiting for the server`)); err != nil {
				t.Fatal(err)
			}
		}
		server = serve(t, "--data", data, "--listen", strings.TrimPrefix(server.url, "http://"))
		eventually(t, "the part is on the board", func() bool {
			board, err := c.Board(t.Context(), "race")
			return err == nil && board.Total == (i+1)*part
		})
	}
	if err := pipe.Close(); err != nil {
		t.Fatal(err)
	}
	child.output.Wait()
	if err := child.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("race: %d entries set in", part*parts); !strings.Contains(child.printed(), want) {
		t.Errorf("it has not printed %q", want)
	}
	n := 0
	for entry, err := range c.All(t.Context(), "race") {
		if want := fmt.Sprintf("m%06d", n); err != nil || entry.Member != want {
			t.Fatalf("number %d is %s, %v, want %s", n, entry.Member, err, want)
		}
		n++
	}
	if n != part*parts {
		t.Errorf("%d entries are on the board", n)
	}
}

// Equal members of a sorted set stand on a board as they stand in Redis, whatever its ties.
func TestImportOfASortedSet(t *testing.T) {
	redis := redistest.Start(t).URL()
	config, err := redisconn.Parse(redis)
	if err != nil {
		t.Fatal(err)
	}
	client, err := config.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	for _, words := range [][]string{
		{"ZADD", "scores", "1", "a", "2", "b", "2", "c", "2", "d", "3", "e"},
		{"ZADD", "scores:ttl", "1000000000", "e"},
	} {
		if err := client.Do(t.Context(), client.B().Arbitrary(words...).Build()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	server := serve(t, "--data", t.TempDir(), "--listen", "127.0.0.1:0")
	c := connectTo(t, server.url)
	for i, test := range []struct{ order, ties, source, want string }{
		{"desc", "earliest", "--zset", "edcba"},
		{"desc", "latest", "--zset", "edcba"},
		{"asc", "earliest", "--zset", "abcde"},
		{"asc", "latest", "--zset", "abcde"},
		{"desc", "earliest", "--podium", "dcba"},
	} {
		board := fmt.Sprint("board", i)
		if _, err := c.CreateBoard(t.Context(), laurel.Settings{ID: board, Order: test.order, Ties: test.ties}); err != nil {
			t.Fatal(err)
		}
		child := importing(t, "--server", server.url, "--board", board, "--from", redis, test.source, "scores")
		child.output.Wait()
		if err := child.cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		page, err := c.Top(t.Context(), board, 10)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, e := range page.Entries {
			got += e.Member
		}
		if got != test.want {
			t.Errorf("%+v: the order is %s", test, got)
		}
	}
}
