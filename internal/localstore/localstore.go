// Package localstore is the embedded store: ranks in memory, entries on disk.
//
// A store holds every board in a [zset.Set], from which all reads are answered,
// and keeps the entries in Pebble, from which the sets are built again at the
// start. One goroutine, the committer, makes all changes. It takes the requests
// that arrived while it was busy as a group, plans them against memory without
// changing it, writes one synced batch, and only then changes memory and answers.
// So memory never holds what is not durable, nothing that anybody saw can be
// taken back by a crash, and a commit that fails needs no undoing: it has
// changed nothing.
//
// While the commit of one group is under way, the committer does its work for two
// others: it finishes the group before, which is durable, and plans the one after,
// over memory and what the group in flight will leave. No more than one
// commit is under way at a time, so that a group is written only when all that it
// was planned over is on the disk. If the commit fails, the group that was planned
// over it is refused with it.
//
// The change log is a number in the state of each board, given by the group
// that changed it last. It is written with the state, so no change can be without
// its record; and as the newest change of a board stands for those before it,
// there is never more to keep than one per board.
//
// When the disk fails, writes are refused with [leaderboard.ErrStorageUnavailable],
// and reads go on. The failed opening of the database is fenced off, so that it
// cannot touch the disk any more. Then the store tries, until it works, to open the
// database anew and to write what memory has over every key of the group that
// failed: nothing that was refused shows up later. Only when the process ends in
// between, the group of that moment may be found done or not done after the
// next start; each of its requests whole, or not at all.
package localstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"laurel/internal/leaderboard"
)

// Options are the settings of a [Store].
type Options struct {
	// FS is the file system; nil is the operating system's.
	FS vfs.FS

	// Logger gets what happens to the store and to its disk; nil is none.
	Logger *slog.Logger

	// Registerer gets the store's metrics; nil is none.
	Registerer prometheus.Registerer

	// MinFree is how many bytes must be free on the disk for writes to be
	// taken, so that the database has room to tidy up; 0 is 64 MiB, and a
	// negative number asks for none.
	MinFree int64

	// CommitTimeout is how long a commit may take until the disk counts as
	// failed; 0 is 30 s.
	CommitTimeout time.Duration

	// RetryInterval is the time between two attempts to get a failed disk back,
	// and between two looks at how much room there is; 0 is 1 s.
	RetryInterval time.Duration

	// CacheSize and MemTableSize are Pebble's, in bytes; 0 is 8 MiB and 32 MiB.
	CacheSize    int64
	MemTableSize int
}

func (o Options) withDefaults() Options {
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.MinFree = cmp.Or(o.MinFree, 64<<20)
	o.CommitTimeout = cmp.Or(o.CommitTimeout, 30*time.Second)
	o.RetryInterval = cmp.Or(o.RetryInterval, time.Second)
	o.CacheSize = cmp.Or(o.CacheSize, 8<<20)
	o.MemTableSize = cmp.Or(o.MemTableSize, 32<<20)
	return o
}

// ErrDamaged is behind the error of [Open] when what is on disk is not what a
// store wrote. The error says where.
var ErrDamaged = errors.New("data is damaged")

// Store is a [leaderboard.Store] on a local disk.
type Store struct {
	dir     string // the data directory
	opts    Options
	fs      vfs.FS
	log     *slog.Logger
	lock    io.Closer
	epoch   string
	metrics *metrics

	queue   queue
	changes changeLog
	outbox  outbox
	trouble atomic.Pointer[leaderboard.Error] // why writes are refused; nil if they are taken
	full    atomic.Pointer[leaderboard.Error] // the same for want of room on the disk

	// mu guards which boards there are; a board's own mutex guards what it is.
	// It is taken before a board's.
	mu     sync.RWMutex
	boards map[string]*board // deleted ones too
	ids    []string          // of those that are not deleted, sorted
	aging  []*board          // whose entries expire, in no order
	closed bool

	committer
	finisher    *finisher
	timetable   timetable
	directories directories

	reading  sync.RWMutex // guards readable, and is held by who reads from it
	readable *pebble.DB   // where the standings of past seasons are; nil: it is not open

	stop    sync.Once
	stopped chan struct{} // closed when the committer has ended
	closing error         // of Close; to be read after stopped
}

var (
	_ leaderboard.Store  = (*Store)(nil)
	_ leaderboard.Outbox = (*Store)(nil)
)

// Open opens the store in a data directory, and makes one if there is none. It
// returns an [*InUseError] if somebody else has it open, and an error with
// [ErrDamaged] behind it if something is wrong with what is there.
func Open(ctx context.Context, dir string, opts Options) (*Store, error) {
	s := &Store{
		dir:     dir,
		opts:    opts.withDefaults(),
		fs:      opts.FS,
		boards:  make(map[string]*board),
		outbox:  newOutbox(),
		stopped: make(chan struct{}),
	}
	if s.fs == nil {
		s.fs = vfs.Default
	}
	s.log = s.opts.Logger
	s.metrics = newMetrics(s)
	s.queue.ready = make(chan struct{}, 1)
	s.finisher = newFinisher(s)
	if err := s.open(ctx); err != nil {
		return nil, fmt.Errorf("open store in %s: %w", dir, err)
	}
	go s.run()
	go s.finisher.run()
	return s, nil
}

func (s *Store) open(ctx context.Context) (err error) {
	start := time.Now()
	if err := makeDir(s.fs, s.dir); err != nil {
		return err
	}
	if s.opts.FS == nil {
		s.lock, err = lock(s.dir)
	} else {
		s.lock, err = lockWithin(s.fs, s.dir)
	}
	if err != nil {
		return err
	}
	if err := s.checkManifest(); err != nil {
		return errors.Join(err, s.lock.Close())
	}
	s.disk, err = s.openDisk()
	if err != nil {
		return errors.Join(err, s.lock.Close())
	}
	if err := s.load(ctx); err != nil {
		return errors.Join(err, s.disk.close(), s.lock.Close())
	}
	if err := s.metrics.register(s.opts.Registerer); err != nil {
		return errors.Join(err, s.disk.close(), s.lock.Close())
	}
	s.log.Info("store opened", "dir", s.dir, "boards", len(s.ids), "entries", s.metrics.entries.Load(), "took", time.Since(start))
	return nil
}

// makeDir makes a directory, and those above it, as durable as what will be in
// it. It does not trust one that is there to be so already: who made it may have
// ended before.
func makeDir(under vfs.FS, dir string) error {
	missing := 0 // directories above dir, from there upwards
	for above := under.PathDir(dir); above != under.PathDir(above); above = under.PathDir(above) {
		if _, err := under.Stat(above); err == nil {
			break
		}
		missing++
	}
	if err := under.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	above := dir
	for range missing + 1 {
		above = under.PathDir(above)
		parent, err := under.OpenDir(above)
		if errors.Is(err, fs.ErrPermission) && missing == 0 {
			return nil // the directory is ours, but what is above it is not
		}
		if err != nil {
			return err
		}
		if err := errors.Join(parent.Sync(), parent.Close()); err != nil {
			return fmt.Errorf("sync %s: %w", above, err)
		}
	}
	return nil
}

// Close carries out what is waiting, and closes the store. Whoever comes later
// gets [leaderboard.ErrShuttingDown]. On a disk that hangs, Close waits for it.
func (s *Store) Close() error {
	s.stop.Do(func() {
		s.finisher.close()
		s.queue.close()
		<-s.stopped
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.changes.close()
		s.timetable.close()
		s.metrics.unregister(s.opts.Registerer)
		s.closing = errors.Join(s.closing, s.lock.Close())
	})
	return s.closing
}

// disk is one opening of the database.
type disk struct {
	db      *pebble.DB
	fence   *fence
	commits sync.WaitGroup // those under way
	flushed chan struct{}  // gets something when Pebble has flushed; holds one, as one is enough to look again
}

// databaseDir is where in the data directory the database is.
const databaseDir = "db"

// checkManifest looks for a database that has lost the file which says that it
// is one: Pebble would begin an empty one in its place.
func (s *Store) checkManifest() error {
	dir := s.fs.PathJoin(s.dir, databaseDir)
	found, err := pebble.Peek(dir, s.fs)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return s.damaged(err)
	}
	if found.Exists {
		return nil
	}
	names, err := s.fs.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		// A crash while the database is made leaves neither behind.
		if strings.HasSuffix(name, ".log") || strings.HasSuffix(name, ".sst") {
			return fmt.Errorf("%w: %s has data, such as %s, but no manifest", ErrDamaged, dir, name)
		}
	}
	return nil
}

func (s *Store) openDisk() (*disk, error) {
	d := &disk{fence: newFence(s.fs), flushed: make(chan struct{}, 1)}
	opts := s.pebbleOptions(d)
	db, err := pebble.Open(s.fs.PathJoin(s.dir, databaseDir), opts)
	if failed := d.fence.opened(); failed != nil {
		if err == nil {
			_ = db.Close() // of an error of which we know
		}
		err = failed
	}
	if err != nil {
		return nil, s.damaged(err)
	}
	d.db = db
	return d, nil
}

// damaged marks an error of Pebble that tells of damage.
func (s *Store) damaged(err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

func (s *Store) pebbleOptions(d *disk) *pebble.Options {
	opts := &pebble.Options{
		FS:                 d.fence,
		Logger:             pebbleLogger{d.fence, s.log},
		FormatMajorVersion: pebble.FormatNewest,
		CacheSize:          s.opts.CacheSize,
		MemTableSize:       uint64(s.opts.MemTableSize),
		MaxOpenFiles:       256,

		// Pebble is never to hold up a commit: it would do so in a place from
		// where there is no way out if the disk fails meanwhile. The committer
		// waits for flushes instead; and how many tables a read would have to look at
		// does not matter to somebody who reads only once.
		MemTableStopWritesThreshold: 1 << 10,
		L0StopWritesThreshold:       1 << 20,

		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) {
				s.log.Warn("database had an error in the background", "error", err)
			},
			DataCorruption: func(info pebble.DataCorruptionInfo) {
				s.log.Error("database is damaged", "file", info.Path, "error", info.Details)
			},
			FlushEnd: func(pebble.FlushInfo) {
				select {
				case d.flushed <- struct{}{}:
				default:
				}
			},
		},
	}
	// Pebble's own choice is the same with a goroutine that looks ten times a second
	// whether another compaction may start, which is left behind when opening
	// fails. With one compaction at a time, as here, looking when one ends will do.
	opts.Experimental.CompactionScheduler = pebble.NewConcurrencyLimitSchedulerWithNoPeriodicGrantingForTest()
	return opts
}

// commit writes a batch, and returns when it is durable, if it is to be.
func (d *disk) commit(batch *pebble.Batch, durable bool) error {
	err := d.db.Apply(batch, &pebble.WriteOptions{Sync: durable})
	return cmp.Or(d.fence.err(), err)
}

// close closes the database, after whatever is still being written.
func (d *disk) close() error {
	d.commits.Wait()
	return cmp.Or(d.fence.err(), d.db.Close())
}

// pebbleLogger is where Pebble's own log goes, which is of no interest unless
// it cannot go on.
type pebbleLogger struct {
	fence *fence
	log   *slog.Logger
}

func (l pebbleLogger) Infof(string, ...any) {}

func (l pebbleLogger) Errorf(format string, args ...any) {
	l.log.Warn("database had an error", "error", fmt.Sprintf(format, args...))
}

// Fatalf is expected to end the process. It ends the database's access to the
// disk instead.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	l.fence.close(fmt.Errorf(format, args...))
}

func unavailable(cause error) *leaderboard.Error {
	return &leaderboard.Error{
		Code:    leaderboard.CodeStorageUnavailable,
		Message: "the store cannot write for now",
		Err:     cause,
	}
}

var errClosed = &leaderboard.Error{Code: leaderboard.CodeShuttingDown, Message: "the store is closed"}
