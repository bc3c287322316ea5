// Package bench measures a whole Laurel and prints each figure beside its
// yardstick, taken in the same run.
//
// What is measured is the real thing: the server is the laurel binary in a
// process of its own, on the loopback and on a data directory that is thrown away
// afterwards, and it is met over HTTP and WebSockets. The yardstick of HTTP is a
// bare handler in a process of its own too. Both sides of a comparison take turns,
// so that whatever else the machine does meets both. The data structure and the
// store alone have Go benchmarks, which compare in the same way; their results
// are taken over.
//
// Everything is bounded, in count and in time, and what was started is stopped.
package bench

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Part is something that can be measured alone.
type Part struct {
	Name  string
	Short string // what it measures

	// NeedsSource says that it runs Go benchmarks of the source tree.
	NeedsSource bool

	run func(context.Context, *bench) error
}

// Parts returns all parts in the order in which they are run.
func Parts() []Part {
	return []Part{
		{"zset", "ranks in memory, beside tidwall/btree", true, measureZset},
		{"store", "durable submits, beside bare Pebble", true, measureStore},
		{"redis", "submits to the store on Redis, beside redis-benchmark and a script that publishes whole boards", true, measureRedis},
		{"import", "a board of 1 M members from a file, beside bare Pebble and bare pipelined Redis", true, measureImport},
		{"seasons", "the end of a season of 1 M members while writes go on, and reads of it afterwards", true, measureSeasons},
		{"http", "submits over HTTP, beside a bare net/http handler", false, measureHTTP},
		{"delay", "from a score to a viewer's message", false, measureDelay},
		{"publish", "the cost of a publication, by the size of the board", false, measurePublish},
		{"restart", "from the start of the process to listening", false, measureRestart},
		{"memory", "bytes an entry and bytes an idle connection", false, measureMemory},
		{"nodes", "two nodes on one Redis: from a publication to the viewers of both, and what a message costs", false, measureNodes},
		{"load", "20,000 submits a second on 1 M members with 100 viewers", false, measureLoad},
	}
}

// Options are the settings of a run. Binary and Out are needed.
type Options struct {
	Binary string    // the laurel executable
	Out    io.Writer // gets the table
	Dir    string    // where data directories are made; "" is that for temporary files
	Source string    // the source tree, for the parts that need it

	// Profile is the name of a file that gets a profile of the server's
	// processor time under the load of HTTP; "" is none.
	Profile string

	// Quick makes everything so small that the figures mean nothing: to see
	// that it works.
	Quick bool
}

// Run measures the parts and prints what it finds as it goes. A target that is
// missed is not an error.
func Run(ctx context.Context, parts []Part, opts Options) error {
	dir, err := os.MkdirTemp(opts.Dir, "laurel-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{Options: opts, dir: dir, size: full}
	if opts.Quick {
		b.size = quick
	}
	b.out = opts.Out
	b.header()
	start := time.Now()
	for _, part := range parts {
		b.begin(part)
		began := time.Now()
		if err := part.run(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", part.Name, err)
		}
		b.notef("took %s; load average now %s", time.Since(began).Round(time.Second), loadAverage())
	}
	b.end(time.Since(start))
	return nil
}

// bench is one run.
type bench struct {
	Options
	table

	dir  string
	size sizes
	made int // data directories
}

// sizes are how much of everything a run does.
type sizes struct {
	rounds int           // turns of each side of a comparison
	turn   time.Duration // how long a turn takes

	members     int // of a large board
	restarts    []int
	boards      []int // sizes of the boards whose publications are measured
	samples     int   // of a delay
	published   int   // publications in a turn
	connections int   // idle ones
	viewers     int
	rate        float64       // submits a second under sustained load
	warm        time.Duration // of the load: until everything that grows to a size, such as the store's buffers, has it
	load        time.Duration
	interval    time.Duration // between two looks at the load

	nodeViewers        int           // on each of two nodes
	nodeRate           float64       // submits a second to both
	nodeWarm, nodeLoad time.Duration // of the load on them
}

var full = sizes{
	rounds: 7, turn: 2 * time.Second,
	members:  1_000_000,
	restarts: []int{1_000_000, 10_000_000}, boards: []int{1000, 100_000, 1_000_000},
	samples: 150, published: 10, connections: 5000,
	viewers: 100, rate: 20_000, warm: 45 * time.Second, load: 75 * time.Second, interval: 5 * time.Second,
	nodeViewers: 1000, nodeRate: 1000, nodeWarm: 5 * time.Second, nodeLoad: 25 * time.Second,
}

var quick = sizes{
	rounds: 1, turn: 100 * time.Millisecond,
	members:  2000,
	restarts: []int{1000, 2000}, boards: []int{1000, 2000},
	samples: 5, published: 2, connections: 20,
	viewers: 5, rate: 1000, warm: 500 * time.Millisecond, load: time.Second, interval: 500 * time.Millisecond,
	nodeViewers: 30, nodeRate: 200, nodeWarm: 300 * time.Millisecond, nodeLoad: 2 * time.Second,
}

// newDir returns a path for a data directory.
func (b *bench) newDir() string {
	b.made++
	return filepath.Join(b.dir, fmt.Sprint("data-", b.made))
}

// header says where the figures are from.
func (b *bench) header() {
	b.printf("laurel bench, %s\n", time.Now().UTC().Format("2006-01-02 15:04 MST"))
	b.printf("%s, %d cores, %s %s, %s; data in %s\n", runtime.Version(), runtime.NumCPU(), runtime.GOOS, kernel(), memory(), b.dir)
	if b.Quick {
		b.printf("quick: the figures mean nothing\n")
	}
	b.printf("load average before the start: %s; others at work slow both sides of a ratio\n", loadAverage())
	if took, err := syncTime(b.dir); err == nil {
		b.printf("a synced write of 4 KiB takes %s here (median)\n", span(took))
	}
}

// syncTime returns how long it takes to make a small write durable.
func syncTime(dir string) (time.Duration, error) {
	file, err := os.CreateTemp(dir, "sync-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	var times []time.Duration
	for range 50 {
		start := time.Now()
		if _, err := file.Write(make([]byte, 4096)); err != nil {
			return 0, err
		}
		if err := file.Sync(); err != nil {
			return 0, err
		}
		times = append(times, time.Since(start))
	}
	return median(times), nil
}

func kernel() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "of an unknown version"
	}
	return strings.TrimSpace(string(text))
}

func memory() string {
	text, _ := os.ReadFile("/proc/meminfo") // a system without it gets the line without it
	for line := range strings.Lines(string(text)) {
		var kib int
		if _, err := fmt.Sscanf(line, "MemTotal: %d kB", &kib); err == nil {
			return fmt.Sprintf("%d GiB of memory", kib>>20)
		}
	}
	return "memory unknown"
}

// loadAverage is how many processes wanted a core in the last minute, 5 and 15.
func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(text))
	if len(fields) < 3 {
		return "unknown"
	}
	return strings.Join(fields[:3], " ")
}

// median returns the middle one, or the zero value if there is none.
func median[T cmp.Ordered](list []T) T { return quantile(list, 0.5) }

// quantile returns the element that a share q of the list does not exceed.
func quantile[T cmp.Ordered](list []T, q float64) T {
	if len(list) == 0 {
		var none T
		return none
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
