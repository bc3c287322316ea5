package localstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// fence stands between one opening of the database and the file system. The
// first change of the file system that fails closes it, and from then on
// nothing that this opening does reaches the disk: the disk stays as a crash at
// that moment would have left it, which is a state that Pebble recovers from.
//
// Without it, what Pebble does after an error could not be relied on. It would
// flush a batch whose commit has failed, so that it shows up later. It would end
// the process when it cannot write the manifest, and if it is not let, trip over what
// it holds in memory. And it would panic when the log cannot be changed to the
// next file, in a place from where a panic ends in a fatal error of the
// runtime, for it unlocks a mutex that is not locked. Of those files Pebble
// expects that they just work, and so for them the fence is silent: it does not tell
// of an error, and what is written to them once it is closed goes nowhere.
// Whoever commits a batch asks the fence afterwards, and only a batch after
// which it is still open counts. An error with a table is told: Pebble drops
// the table and tries again later, and in vain.
//
// While the database is being opened, the fence is silent about all files. Opening
// flushes what is in the log and waits for it, which Pebble tries again at once
// and without end when a table cannot be written. Whoever opens a database asks the
// fence afterwards too.
type fence struct {
	vfs.FS

	opening atomic.Bool // the database is being opened

	closed chan struct{} // closed with the fence
	cause  atomic.Pointer[error]
	once   sync.Once
}

func newFence(under vfs.FS) *fence {
	f := &fence{FS: under, closed: make(chan struct{})}
	f.opening.Store(true)
	return f
}

// opened tells the fence that the database is open, and returns why the fence
// was closed meanwhile, or nil.
func (f *fence) opened() error {
	f.opening.Store(false)
	return f.err()
}

// close closes the fence, for a reason. Only the first counts.
func (f *fence) close(cause error) {
	f.once.Do(func() {
		f.cause.Store(&cause)
		close(f.closed)
	})
}

// err returns why the fence is closed, or nil if it is open.
func (f *fence) err() error {
	if cause := f.cause.Load(); cause != nil {
		return *cause
	}
	return nil
}

// errFenced is what Pebble is told once the fence is closed.
var errFenced = errors.New("the disk failed before")

// change carries out a change of the file system, if the fence is open.
func (f *fence) change(what, name string, do func() error) error {
	err := errFenced
	if f.err() == nil {
		err = do()
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return err
		}
		f.close(fmt.Errorf("%s %s: %w", what, name, plain(err)))
	}
	if f.opening.Load() {
		return nil
	}
	return err
}

// plain takes the path out of an error, which is named already.
func plain(err error) error {
	if path, ok := errors.AsType[*os.PathError](err); ok {
		return path.Err
	}
	return err
}

// silent reports whether Pebble is not told of errors with a file: those of the
// write-ahead log, of the manifest and of the markers, which say what manifest counts.
func (f *fence) silent(name string) bool {
	base := f.PathBase(name)
	return strings.HasSuffix(base, ".log") || strings.HasPrefix(base, "MANIFEST-") || isMarker(base)
}

func isMarker(base string) bool { return strings.HasPrefix(base, "marker.") }

// settle makes the directory of a marker durable before a marker in it comes or
// goes. Pebble does so only afterwards, which leaves it to the file system that
// a marker does not last without the manifest that it names.
func (f *fence) settle(name string) {
	if !isMarker(f.PathBase(name)) {
		return
	}
	dir := f.PathDir(name)
	_ = f.change("sync", dir, func() error { // of an error, the fence knows
		file, err := f.FS.OpenDir(dir)
		if err != nil {
			return err
		}
		return errors.Join(file.Sync(), file.Close())
	})
}

// create makes a file that is written through the fence.
func (f *fence) create(what, name string, do func() (vfs.File, error)) (vfs.File, error) {
	f.settle(name)
	var file vfs.File
	err := f.change(what, name, func() (err error) {
		file, err = do()
		return err
	})
	switch {
	case err == nil && file == nil:
		return hole{}, nil
	case err == nil:
		return &fencedFile{File: file, fence: f, name: name, silent: f.silent(name)}, nil
	case f.silent(name):
		f.close(fmt.Errorf("%s %s: %w", what, name, plain(err))) // if it was a file that is missing
		return hole{}, nil
	}
	return nil, err
}

func (f *fence) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return f.create("create", name, func() (vfs.File, error) { return f.FS.Create(name, category) })
}

func (f *fence) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return f.create("reuse "+oldname+" as", newname, func() (vfs.File, error) {
		return f.FS.ReuseForWrite(oldname, newname, category)
	})
}

func (f *fence) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.create("open", name, func() (vfs.File, error) { return f.FS.OpenReadWrite(name, category, opts...) })
}

func (f *fence) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &fencedFile{File: file, fence: f, name: name, silent: true}, nil
}

func (f *fence) Link(oldname, newname string) error {
	return f.change("link", newname, func() error { return f.FS.Link(oldname, newname) })
}

func (f *fence) Remove(name string) error {
	f.settle(name)
	return f.change("remove", name, func() error { return f.FS.Remove(name) })
}

func (f *fence) RemoveAll(name string) error {
	return f.change("remove", name, func() error { return f.FS.RemoveAll(name) })
}

func (f *fence) Rename(oldname, newname string) error {
	return f.change("rename", oldname, func() error { return f.FS.Rename(oldname, newname) })
}

func (f *fence) MkdirAll(dir string, perm os.FileMode) error {
	return f.change("create directory", dir, func() error { return f.FS.MkdirAll(dir, perm) })
}

// Lock does nothing: the store holds a lock of its own, for longer than one
// opening of the database.
func (f *fence) Lock(string) (io.Closer, error) { return hole{}, nil }

func (f *fence) Unwrap() vfs.FS { return f.FS }

// fencedFile is a file or a directory whose changes go through a fence.
type fencedFile struct {
	vfs.File
	fence  *fence
	name   string
	silent bool // does not tell of errors
}

func (f *fencedFile) change(what string, do func() error) error {
	err := f.fence.change(what, f.name, do)
	if f.silent {
		return nil
	}
	return err
}

func (f *fencedFile) Write(p []byte) (n int, err error) {
	err = f.change("write", func() (err error) {
		n, err = f.File.Write(p)
		return err
	})
	if f.silent || err == nil {
		n = len(p) // also of what went nowhere
	}
	return n, err
}

func (f *fencedFile) WriteAt(p []byte, offset int64) (n int, err error) {
	err = f.change("write", func() (err error) {
		n, err = f.File.WriteAt(p, offset)
		return err
	})
	if f.silent || err == nil {
		n = len(p) // also of what went nowhere
	}
	return n, err
}

func (f *fencedFile) Sync() error     { return f.change("sync", f.File.Sync) }
func (f *fencedFile) SyncData() error { return f.change("sync", f.File.SyncData) }

func (f *fencedFile) SyncTo(length int64) (full bool, err error) {
	err = f.change("sync", func() (err error) {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
}

// Preallocate is a hint: that it does not work says nothing about the disk.
func (f *fencedFile) Preallocate(offset, length int64) error {
	if f.fence.cause.Load() != nil {
		return nil
	}
	return f.File.Preallocate(offset, length)
}

func (f *fencedFile) Stat() (vfs.FileInfo, error) {
	info, err := f.File.Stat()
	if err == nil || !f.silent {
		return info, err
	}
	f.fence.close(fmt.Errorf("stat %s: %w", f.name, plain(err)))
	return holeInfo{}, nil
}

// Close closes the file whether the fence is open or not.
func (f *fencedFile) Close() error {
	err := f.File.Close()
	if err != nil {
		f.fence.close(fmt.Errorf("close %s: %w", f.name, plain(err)))
	}
	if f.silent {
		return nil
	}
	return err
}

// hole is a file that could not be made, of which Pebble is not told: what is
// written to it is gone.
type hole struct{}

func (hole) Close() error                           { return nil }
func (hole) Read([]byte) (int, error)               { return 0, io.EOF }
func (hole) ReadAt([]byte, int64) (int, error)      { return 0, io.EOF }
func (hole) Write(p []byte) (int, error)            { return len(p), nil }
func (hole) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (hole) Preallocate(int64, int64) error         { return nil }
func (hole) Stat() (vfs.FileInfo, error)            { return holeInfo{}, nil }
func (hole) Sync() error                            { return nil }
func (hole) SyncTo(int64) (bool, error)             { return true, nil }
func (hole) SyncData() error                        { return nil }
func (hole) Prefetch(int64, int64) error            { return nil }
func (hole) Fd() uintptr                            { return vfs.InvalidFd }

type holeInfo struct{}

func (holeInfo) Name() string           { return "" }
func (holeInfo) Size() int64            { return 0 }
func (holeInfo) Mode() os.FileMode      { return 0 }
func (holeInfo) ModTime() time.Time     { return time.Time{} }
func (holeInfo) IsDir() bool            { return false }
func (holeInfo) Sys() any               { return nil }
func (holeInfo) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }
