package localstore

import (
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// lockName is the file in a data directory whose lock its owner holds, and
// which says the owner's process id. It stays there when nobody owns the
// directory; only its lock counts, and that ends with the process.
const lockName = "laurel.pid"

// InUseError says that another process, or another store of this one, owns a
// data directory.
type InUseError struct {
	Dir string
	PID int // of the owner; 0 if it is not known
}

func (e *InUseError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("data directory %s is in use by another process", e.Dir)
	}
	return fmt.Sprintf("data directory %s is in use by process %d", e.Dir, e.PID)
}

// lockWithin takes the lock by the means of a given file system, which do not
// tell the owner.
func lockWithin(fs vfs.FS, dir string) (io.Closer, error) {
	lock, err := fs.Lock(fs.PathJoin(dir, lockName))
	if err != nil {
		return nil, &InUseError{Dir: dir}
	}
	return lock, nil
}
