package api

import (
	"crypto/sha256"

	"laurel/internal/leaderboard"
)

const (
	keyHeader      = "Idempotency-Key"
	replayedHeader = "Idempotency-Replayed"

	// maxKey is the most bytes in an Idempotency-Key. With keyMark it is a name that
	// a store takes.
	maxKey = leaderboard.MaxOnce - len(keyMark)

	// keyMark begins the names that come from HTTP, so that they are never those of
	// entries of streams.
	keyMark = "="
)

var replayed = []string{"true"}

// takesKey reports whether a request for the route may have an Idempotency-Key. A
// write that is applied while it still arrives can end half way, and has no one
// answer that could be given again.
func (r *route) takesKey() bool { return r.write && r.bodyType == "" }

// takeKey notes the request's Idempotency-Key, if it has one.
func (x *exchange) takeKey() error {
	keys := x.r.Header[keyHeader]
	if len(keys) == 0 {
		return nil
	}
	if !x.route.takesKey() {
		return &inputError{Field: keyHeader, Index: -1, Err: leaderboard.Errorf(codeNotSupported, "an import takes no %s; leave it out, and go on behind the last line that was told as applied", keyHeader)}
	}
	valid := len(keys) == 1 && keys[0] != "" && len(keys[0]) <= maxKey
	for i := 0; valid && i < len(keys[0]); i++ {
		valid = keys[0][i] >= ' ' && keys[0][i] <= '~'
	}
	if !valid {
		return &inputError{Field: keyHeader, Index: -1, Err: leaderboard.Errorf(codeBadRequest, "%s must be there once, with 1 to %d characters of printable ASCII", keyHeader, maxKey)}
	}
	x.once.Name = keyMark + keys[0]
	return nil
}

// writer returns the door for the write that the request asks for, when its body
// has been read.
func (a *API) writer(x *exchange) *leaderboard.Service {
	if x.once.Name == "" {
		return a.service
	}
	h := sha256.New()
	for _, part := range []string{x.r.Method, " ", x.r.URL.EscapedPath(), "?", x.r.URL.RawQuery, "\n"} {
		h.Write([]byte(part))
	}
	for _, name := range conditionHeaders {
		for _, value := range x.r.Header[name] {
			h.Write([]byte(name + ": " + value + "\n"))
		}
	}
	h.Write(x.in)
	x.once.Digest = leaderboard.Digest(h.Sum(nil)[:len(x.once.Digest)])
	return a.service.Under(&x.once)
}
