package api

import (
	"net/http"
	"strconv"
	"strings"

	"laurel/internal/leaderboard"
)

// versioned is an answer that is the same for as long as its version is.
type versioned interface {
	answer
	version() version
}

// version is the state of a board that an answer is of.
type version struct {
	epoch  string
	season int
	rev    uint64

	// loose: the rows are those of a ZSET, which another program may have changed
	// although the rev is the same.
	loose bool
}

func versionOf(v leaderboard.View) version {
	return version{epoch: v.Epoch, season: v.Season, rev: v.Rev, loose: v.Board.ZSet != ""}
}

// tag returns the entity tag of the answer in x.out. It names the request too, so
// that a tag can only be one that this very request was answered with before, and
// the program's version, which may have changed what is answered.
//
// The tag of a loose version is by the text itself.
func (a *API) tag(x *exchange, v version) string {
	hash := fnv1a(fnvBasis, a.opts.Version)
	hash = fnv1a(hash, x.r.URL.EscapedPath())
	hash = fnv1a(hash, "?")
	hash = fnv1a(hash, x.r.URL.RawQuery)
	if v.loose {
		hash = fnv1a(hash, x.out)
	}
	to := make([]byte, 0, 80)
	to = append(to, `W/"`...)
	to = append(to, v.epoch...)
	to = strconv.AppendInt(append(to, '.'), int64(v.season), 10)
	to = strconv.AppendUint(append(to, '.'), v.rev, 10)
	to = strconv.AppendUint(append(to, '.'), hash, 36)
	return string(append(to, '"'))
}

const fnvBasis = 14695981039346656037

// fnv1a goes on with a hash that is the same on every node.
func fnv1a[T string | []byte](hash uint64, text T) uint64 {
	for i := range len(text) {
		hash = (hash ^ uint64(text[i])) * 1099511628211
	}
	return hash
}

// unchanged answers a request whose asker has the answer already, if where the
// board stands is enough to say so: that is cheaper to read than what is asked for.
func (a *API) unchanged(x *exchange, asked []string) bool {
	season, err := seasonOf(x.board(), x.query.Get("season"))
	if err != nil {
		return false
	}
	view, err := a.service.Board(x.r.Context(), x.board())
	if err != nil || view.Board.ZSet != "" || season != 0 && season != view.Season {
		return false
	}
	tag := a.tag(x, versionOf(view))
	if !named(asked, tag) {
		return false
	}
	a.sendTagged(x, tag, asked)
	return true
}

// sendTagged sends x.out, or that it has not changed to who has it already.
func (a *API) sendTagged(x *exchange, tag string, asked []string) {
	h := x.w.Header()
	h["Etag"] = []string{tag}
	h["Cache-Control"] = noCache
	if len(asked) > 0 && (named(asked, tag) || named(asked, "*")) {
		x.send(http.StatusNotModified)
		return
	}
	h["Content-Type"] = jsonType
	x.send(http.StatusOK)
}

// named reports whether a tag is among those of If-None-Match, by the weak
// comparison (RFC 9110, section 8.8.3.2). None of ours has a comma in it.
func named(asked []string, tag string) bool {
	tag = strings.TrimPrefix(tag, "W/")
	for _, line := range asked {
		for one := range strings.SplitSeq(line, ",") {
			if strings.TrimPrefix(strings.TrimSpace(one), "W/") == tag {
				return true
			}
		}
	}
	return false
}
