// Package web holds the page: the table of a board as a person sees it, live.
//
// Its sources are TypeScript and are built with `npm run build`. The result,
// dist, is committed, so that a Go build needs neither Node nor a network.
// dist/index.html answers / and /b/{board}; the files under dist/assets carry a
// hash of their content in their names and may be cached for good.
package web

import (
	"embed"
	"fmt"
	"io/fs"
)

// The prefix all: keeps files whose names begin with _ or a dot.
//
//go:embed all:dist
var embedded embed.FS

// Files returns the built page, with index.html at its root.
func Files() fs.FS {
	files, err := fs.Sub(embedded, "dist")
	if err != nil {
		panic(fmt.Sprintf("web: the name of the embedded folder: %v", err))
	}
	return files
}
