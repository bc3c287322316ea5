package bench

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"slices"
	"strconv"
	"time"

	"laurel/client"
)

// importRounds is how often each side fills a board.
const importRounds = 3

// measureImport fills a new board through the API, by one connection, as `laurel
// import` does.
func measureImport(ctx context.Context, b *bench) error {
	n := b.size.members
	lines, adds := importLines(n), zadds(n)
	bare, err := b.goBench(ctx, "./internal/localstore", "^BenchmarkLoad$", strconv.Itoa(importRounds)+"x", "-args", "-local.members", strconv.Itoa(n))
	if err != nil {
		return err
	}
	v, err := bare.get("Load", "pebble-ops/s", "store-ops/s")
	if err != nil {
		return err
	}
	var embedded []float64
	for range importRounds {
		perSecond, err := b.importEmbedded(ctx, lines)
		if err != nil {
			return err
		}
		embedded = append(embedded, perSecond)
	}
	ours := median(embedded)
	b.row(row{what: fmt.Sprintf("import of %s, embedded store", members(n)), ours: rate(ours), yardstick: rate(v[0]) + " bare Pebble", ratio: ours / v[0]})
	b.row(row{what: "  of that the store alone", ours: rate(v[1]), yardstick: rate(v[0]) + " bare Pebble", ratio: v[1] / v[0]})

	ours, theirs, err := b.importRedis(ctx, lines, adds)
	if err != nil {
		return err
	}
	b.row(row{what: fmt.Sprintf("import of %s, store on Redis", members(n)), ours: rate(ours), yardstick: rate(theirs) + " pipelined ZADD", ratio: ours / theirs})
	b.notef("one connection; the server, its client and Redis share the processors. Bare Pebble sets as many keys by synced batches of 1,000; the bare Redis takes ZADD in pipelines of 1,000; both have the same append-only file")
	return nil
}

func importLines(n int) [][]byte {
	rng := mathrand.New(mathrand.NewPCG(7, 0))
	lines := make([][]byte, n)
	for i, member := range rng.Perm(n) {
		lines[i] = fmt.Appendf(nil, `{"member":%q,"score":%d}`, memberName(member), rng.Int64N(1_000_000))
	}
	return lines
}

// fillByImport imports the lines to a new board and returns how many a second that were.
func fillByImport(ctx context.Context, p *process, board string, lines [][]byte) (float64, error) {
	c, err := client.New("http://"+p.addr, client.Options{APIKey: p.key})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	began := time.Now()
	done, err := c.ImportLines(ctx, board, func(yield func([]byte, error) bool) {
		for _, line := range lines {
			if !yield(line, nil) {
				return
			}
		}
	}, client.ImportOptions{})
	took := time.Since(began)
	if err == nil && done.Total != len(lines) {
		err = fmt.Errorf("board %s has %d members, want %d", board, done.Total, len(lines))
	}
	return float64(len(lines)) / took.Seconds(), err
}

func (b *bench) importEmbedded(ctx context.Context, lines [][]byte) (perSecond float64, err error) {
	p, err := b.serve(ctx, b.newDir())
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	return fillByImport(ctx, p, benchBoard, lines)
}

// importRedis fills boards and bare sorted sets of one Redis in turns.
func (b *bench) importRedis(ctx context.Context, lines, adds [][]byte) (ours, theirs float64, err error) {
	redis, err := b.redisServer(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, redis.stop()) }()
	p := &process{key: rand.Text() + rand.Text()}
	err = p.start(ctx, b.Binary, []string{"LAUREL_API_KEY=" + p.key},
		"serve", "--redis", "redis://"+redis.addr, "--listen", "127.0.0.1:0", "--log-format", "json")
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	var us, them []float64
	for i := range importRounds {
		perSecond, err := fillByImport(ctx, p, benchBoard+strconv.Itoa(i), lines)
		if err != nil {
			return 0, 0, err
		}
		us = append(us, perSecond)
		if perSecond, err = pipeline(ctx, redis.addr, adds); err != nil {
			return 0, 0, err
		}
		them = append(them, perSecond)
	}
	return median(us), median(them), nil
}

// zadds are commands that fill a sorted set with the members and scores of importLines.
func zadds(n int) [][]byte {
	rng := mathrand.New(mathrand.NewPCG(7, 0))
	commands := make([][]byte, n)
	for i, member := range rng.Perm(n) {
		name, score := memberName(member), strconv.FormatInt(rng.Int64N(1_000_000), 10)
		commands[i] = fmt.Appendf(nil, "*4\r\n$4\r\nZADD\r\n$4\r\nbare\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(score), score, len(name), name)
	}
	return commands
}

// pipeline sends ZADDs to a sorted set that it removes before, 1,000 at a time, and
// returns how many a second that were.
func pipeline(ctx context.Context, addr string, commands [][]byte) (float64, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(startTimeout)); err != nil {
		return 0, err
	}
	answers := bufio.NewReader(conn)
	send := func(text []byte, count int, want string) error {
		if _, err := conn.Write(text); err != nil {
			return err
		}
		got := make([]byte, count*len(want))
		if _, err := io.ReadFull(answers, got); err != nil {
			return err
		}
		for one := range slices.Chunk(got, len(want)) {
			if string(one) != want {
				return fmt.Errorf("redis answers %q, want %q", one, want)
			}
		}
		return nil
	}
	if _, err := conn.Write([]byte("DEL bare\r\n")); err != nil {
		return 0, err
	}
	if _, err := answers.ReadString('\n'); err != nil { // whether it was there
		return 0, err
	}
	began := time.Now()
	for some := range slices.Chunk(commands, 1000) {
		if err := send(slices.Concat(some...), len(some), ":1\r\n"); err != nil {
			return 0, err
		}
	}
	return float64(len(commands)) / time.Since(began).Seconds(), nil
}
