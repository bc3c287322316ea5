package sim

import (
	"math/bits"
	"time"
)

// Latencies counts durations, so that their quantiles are known to within three
// percent however many there are. The zero value is empty. It is not safe for
// concurrent use.
type Latencies struct {
	counts [64 * subBuckets]uint64
	n      uint64
	most   time.Duration
}

// A power of two is divided into so many buckets.
const (
	subBits    = 5
	subBuckets = 1 << subBits
)

func bucket(d time.Duration) int {
	n := uint64(max(d, 0))
	if n < subBuckets {
		return int(n)
	}
	shift := bits.Len64(n) - 1 - subBits
	return (shift+1)<<subBits + int(n>>shift) - subBuckets
}

// middle is the inverse of bucket, near enough.
func middle(bucket int) time.Duration {
	if bucket < subBuckets {
		return time.Duration(bucket)
	}
	shift := bucket>>subBits - 1
	low := uint64(bucket&(subBuckets-1)+subBuckets) << shift
	return time.Duration(low + 1<<shift/2)
}

// Add counts a duration.
func (l *Latencies) Add(d time.Duration) {
	l.counts[bucket(d)]++
	l.n++
	l.most = max(l.most, d)
}

// Count returns how many durations were added.
func (l *Latencies) Count() uint64 { return l.n }

// Max returns the longest duration, exactly.
func (l *Latencies) Max() time.Duration { return l.most }

// Quantile returns the duration that a share q of all does not exceed: 0.5 is
// the median. Without durations it is 0.
func (l *Latencies) Quantile(q float64) time.Duration {
	if l.n == 0 {
		return 0
	}
	rank := uint64(q * float64(l.n))
	var seen uint64
	for i, n := range l.counts {
		if seen += n; seen > rank {
			return min(middle(i), l.most)
		}
	}
	return l.most
}

// Since returns what was added after l was the copy earlier. Its Max is that of
// all, because the longest of some is not known.
func (l *Latencies) Since(earlier *Latencies) Latencies {
	later := Latencies{n: l.n - earlier.n, most: l.most}
	for i := range l.counts {
		later.counts[i] = l.counts[i] - earlier.counts[i]
	}
	return later
}
