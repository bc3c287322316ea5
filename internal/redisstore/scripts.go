package redisstore

import (
	"crypto/sha1" //nolint:gosec // it is how Redis names scripts
	"embed"
	"encoding/hex"
	"fmt"
	"strings"

	"laurel/internal/leaderboard"
)

//go:embed lua/*.lua
var files embed.FS

// script names what runs within Redis.
type script int

const (
	scriptApply script = iota
	scriptPrepare
	scriptFinish
	scriptResolve
	scriptChange
	scriptEntries
	scriptLookup
	scriptSeasons
	scriptViews
	scriptLease
	scriptNodes
	scriptAcked
	scriptRetell
	scriptTouch
	scriptRecord
	scriptWaiting
	scriptSettle

	scripts // how many there are
)

// The files of each script, behind the prelude.
var composition = [scripts][]string{
	scriptApply:   {"log", "once", "batch", "apply"},
	scriptPrepare: {"log", "once", "batch", "prepare"},
	scriptFinish:  {"log", "once", "batch", "finish"},
	scriptResolve: {"resolve"},
	scriptChange:  {"log", "once", "change"},
	scriptEntries: {"season", "entries"},
	scriptLookup:  {"season", "lookup"},
	scriptSeasons: {"season", "seasons"},
	scriptViews:   {"views"},
	scriptLease:   {"lease"},
	scriptNodes:   {"nodes"},
	scriptAcked:   {"acked"},
	scriptRetell:  {"log", "retell"},
	scriptTouch:   {"log", "adopted_touch"},
	scriptRecord:  {"record"},
	scriptWaiting: {"waiting"},
	scriptSettle:  {"settle"},
}

func (s script) String() string { return composition[s][len(composition[s])-1] }

var (
	checkText  = readScript("check")
	checkSHA   = sha(checkText)
	composed   = compose()
	emptyReply = string('G') // look at the server first
)

func compose() (texts [scripts]string) {
	for i, names := range composition {
		var b strings.Builder
		for _, name := range append([]string{"prelude"}, names...) {
			b.WriteString(readScript(name))
		}
		texts[i] = b.String()
	}
	return texts
}

func readScript(name string) string {
	text, err := files.ReadFile("lua/" + name + ".lua")
	if err != nil {
		panic(err) // it is part of the binary
	}
	return string(text)
}

func sha(text string) string {
	sum := sha1.Sum([]byte(text)) //nolint:gosec // it is how Redis names scripts
	return hex.EncodeToString(sum[:])
}

// scriptSet is the scripts for one process of a server. They name it, so that no
// other one has them.
type scriptSet struct {
	text, sha [scripts]string
}

func newScriptSet(run string) *scriptSet {
	set := new(scriptSet)
	for i := range set.text {
		set.text[i] = fmt.Sprintf("local RUN, ONCE_MS = %q, %d\n%s", run, leaderboard.OnceTTL.Milliseconds(), composed[i])
		set.sha[i] = sha(set.text[i])
	}
	return set
}
