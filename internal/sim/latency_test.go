package sim

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestLatenciesAreWithinThreePercent(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	var l Latencies
	var all []time.Duration
	for range 10_000 {
		d := time.Duration(rng.ExpFloat64() * float64(10*time.Millisecond))
		l.Add(d)
		all = append(all, d)
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999} {
		want := all[int(q*float64(len(all)))]
		if got := l.Quantile(q); got < want*97/100 || got > want*103/100 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if got, want := l.Max(), all[len(all)-1]; got != want || l.Quantile(1) != want {
		t.Errorf("longest is %v, quantile 1 is %v, want %v", got, l.Quantile(1), want)
	}
}

func TestBucketsAreInOrder(t *testing.T) {
	last := -1
	for _, d := range []time.Duration{0, 1, 31, 32, 33, 63, 64, 66, 1000, time.Millisecond, time.Second, time.Hour, 1<<63 - 1} {
		b := bucket(d)
		if b <= last || b >= 64*subBuckets {
			t.Errorf("bucket of %d is %d, want more than %d and less than %d", d, b, last, 64*subBuckets)
		}
		last = b
	}
}

func TestSinceIsWhatCameLater(t *testing.T) {
	var l Latencies
	for range 100 {
		l.Add(time.Second)
	}
	earlier := l
	for range 10 {
		l.Add(time.Millisecond)
	}
	later := l.Since(&earlier)
	if got := later.Quantile(0.9); later.Count() != 10 || got > 2*time.Millisecond {
		t.Errorf("of what came later there are %d, 90%% within %v, want 10 within 1 ms", later.Count(), got)
	}
}
