package daemon

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

// contentPolicy lets the page load its own files, connect to its own server,
// and show pictures from anywhere, because members may have one.
const contentPolicy = "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data: https:; " +
	"style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"

// contentTypes are of the files that a page has. The system's table is not
// asked, because it differs from one machine to the next.
var contentTypes = map[string]string{
	".html":  "text/html; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".css":   "text/css; charset=utf-8",
	".json":  "application/json",
	".map":   "application/json",
	".svg":   "image/svg+xml",
	".png":   "image/png",
	".ico":   "image/x-icon",
	".txt":   "text/plain; charset=utf-8",
	".md":    "text/plain; charset=utf-8",
	".woff2": "font/woff2",
}

// page serves the files of the page: index.html at / and for each board, the
// others by their names. All of it is kept in memory, small as it is.
type page struct {
	files  map[string]*file // by path
	refuse refusal
}

// refusal answers a request that the page has nothing for, or not by this method;
// see [api.API.Refuse].
type refusal func(w http.ResponseWriter, r *http.Request, allowed string)

type file struct {
	content   []byte
	zipped    []byte // nil if that would not be smaller
	kind      string
	tag       string // ETag
	immutable bool   // its name changes with its content
}

func newPage(files fs.FS, refuse refusal) (*page, error) {
	p := &page{files: map[string]*file{}, refuse: refuse}
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		f, err := newFile(name, content)
		p.files["/"+name] = f
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the page: %w", err)
	}
	if p.files["/index.html"] == nil {
		return nil, fmt.Errorf("read the page: it has no index.html")
	}
	return p, nil
}

func newFile(name string, content []byte) (*file, error) {
	hash := sha256.Sum256(content)
	f := &file{
		content:   content,
		kind:      contentTypes[path.Ext(name)],
		tag:       hex.EncodeToString(hash[:12]),
		immutable: strings.HasPrefix(name, "assets/"),
	}
	if f.kind == "" {
		f.kind = "application/octet-stream"
	}
	var zipped bytes.Buffer
	w, err := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if zipped.Len() < len(content)*9/10 {
		f.zipped = zipped.Bytes()
	}
	return f, nil
}

func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	f := p.find(r.URL.Path)
	switch {
	case f == nil && strings.Contains(r.Header.Get("Accept"), "text/html"): // somebody, not something
		http.Error(w, "There is no such page. The boards are at /.", http.StatusNotFound)
		return
	case f == nil:
		p.refuse(w, r, "")
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		p.refuse(w, r, "GET, HEAD, OPTIONS")
		return
	}
	header.Set("Content-Security-Policy", contentPolicy)
	header.Set("Referrer-Policy", "same-origin")
	header.Set("Content-Type", f.kind)
	header.Set("Cache-Control", "no-cache")
	if f.immutable {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	content, tag := f.content, f.tag
	if f.zipped != nil {
		header.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Get("Accept-Encoding")) {
			header.Set("Content-Encoding", "gzip")
			content, tag = f.zipped, f.tag+"-gzip"
		}
	}
	header.Set("ETag", `"`+tag+`"`)
	if header.Get("Content-Encoding") != "" {
		r.Header.Del("Range") // a part of the compressed form is of no use
		serveWhole(w, r, content, tag)
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// serveWhole is http.ServeContent without ranges, which would leave out the
// length of encoded content.
func serveWhole(w http.ResponseWriter, r *http.Request, content []byte, tag string) {
	if strings.Contains(r.Header.Get("If-None-Match"), `"`+tag+`"`) {
		w.Header().Del("Content-Type")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	if r.Method == http.MethodHead {
		return
	}
	_, _ = io.Copy(w, bytes.NewReader(content)) // who does not take the page has gone
}

// find returns the file at an address, or nil. Every board has the same page.
func (p *page) find(address string) *file {
	board, ok := strings.CutPrefix(address, "/b/")
	if address == "/" || ok && board != "" && !strings.Contains(board, "/") {
		return p.files["/index.html"]
	}
	return p.files[address]
}

func acceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, quality, _ := strings.Cut(part, ";")
		if strings.TrimSpace(name) != "gzip" {
			continue
		}
		q, found := strings.CutPrefix(strings.ReplaceAll(quality, " ", ""), "q=")
		if !found {
			return true
		}
		n, err := strconv.ParseFloat(q, 64)
		return err == nil && n > 0
	}
	return false
}
