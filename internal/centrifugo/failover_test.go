package centrifugo

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"laurel/internal/redistest"
)

// Both sides go on by themselves when the master that has their stream dies.
func TestMasterFailsOver(t *testing.T) {
	t.Run("sentinel", func(t *testing.T) {
		t.Parallel()
		s := redistest.StartSentinel(t)
		goOnAfter(t, s.URL(), s.Client(t), func() { s.Failover(t) })
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		c := redistest.StartCluster(t)
		goOnAfter(t, c.URL(), c.Client(t), func() { c.Failover(t, testStream) })
	})
}

func goOnAfter(t *testing.T, url string, client rueidis.Client, failover func()) {
	t.Helper()
	w := newWorld()
	r := run(t, consumerConfig(t, url), w.handlers())
	p, err := NewPublisher(PublisherOptions{Redis: redisConfig(t, url), Stream: testStream, ConsumerGroup: testGroup})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	rev := uint64(0)
	more := func(part string) {
		t.Helper()
		for i := range 50 {
			payload := fmt.Sprint(part, i)
			until(t, "an entry is taken", func() bool {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				return client.Do(ctx, client.B().Xadd().Key(testStream).Id("*").FieldValue().FieldValue("method", "submit").FieldValue("payload", payload).Build()).Error() == nil
			})
			rev++
			until(t, "a table is taken", func() bool { return p.Publish(t.Context(), table("b", rev)) == nil })
		}
		until(t, "all of it is carried out", func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			seen := map[string]bool{}
			for _, payload := range w.payloads {
				seen[payload] = true
			}
			for i := range 50 {
				if !seen[fmt.Sprint(part, i)] {
					return false
				}
			}
			list := w.published["board:b"]
			return len(list) > 0 && list[len(list)-1].Version == rev
		})
	}
	more("before ")
	failover()
	more("after ")
	add(t, client, testStream, "method", "explode", "payload", "1")
	settled(t, client)
	if dead := deadOf(t, client); len(dead) != 1 {
		t.Errorf("dead letters: %v", dead)
	}
	r.stop()
	if g, _ := groupOf(t, client); len(g.consumers) != 0 {
		t.Errorf("the group is %+v: it has not left", g)
	}
}
