//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package localstore

import (
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func lock(dir string) (io.Closer, error) { return lockWithin(vfs.Default, dir) }
