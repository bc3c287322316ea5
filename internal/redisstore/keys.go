package redisstore

import (
	"hash/fnv"
	"strconv"
)

// keys are the names of a partition's keys. They share a hash tag, so that a
// cluster keeps them on one server.
type keys struct {
	prefix    string // with the dot behind it
	meta      string // hash: partitions, epoch, run, n and us of the last log entry, ready, retell
	log       string // stream: changes
	boards    string // zset: ids, all with the score 0
	lease     string // string: the node that tells the changes
	intents   string // zset: batches over several partitions that are prepared here, by when they may be given up
	decisions string // hash: what was decided about those whose first operation is on a board of this partition
	adopted   string // hash: boards that show a ZSET, and its key
	expiring  string // zset: boards by when the first of their entries is due
	nodes     string // zset: nodes by when they were heard of; of the first partition alone
	due       string // zset: boards whose season ends at a time that is known, by that time in milliseconds
}

func newKeys(prefix string, partition int) keys {
	p := prefix + ".{" + strconv.Itoa(partition) + "}."
	return keys{
		prefix: p, meta: p + "meta", log: p + "log", boards: p + "boards", lease: p + "lease",
		intents: p + "intents", decisions: p + "decisions", adopted: p + "adopted", nodes: p + "nodes",
		due: p + "due", expiring: p + "expiring",
	}
}

func (k *keys) state(board string) string { return k.prefix + "s." + board } // hash: rev, sr, settings, k, lock, season
func (k *keys) past(board string) string  { return k.prefix + "h." + board } // hash: number of a past season to its record
func (k *keys) answer(lane string) string { return k.prefix + "a." + lane }  // string: the last answer of a lane

// counts are the submissions of each member in an even or an odd minute, a hash, and which minute it is, at ”.
func (k *keys) counts(board string, odd int) string {
	return k.prefix + "c" + strconv.Itoa(odd) + "." + board
}

// ages are of the current season alone: a zset of the members by when they were updated, if entries expire.
func (k *keys) ages(board string) string { return k.prefix + "t." + board }

// Of a season, by the name that nameOf gives it.

func (k *keys) ranks(season string) string   { return k.prefix + "z." + season } // zset: ties and members
func (k *keys) entries(season string) string { return k.prefix + "e." + season } // hash: member to entry
func (k *keys) levels(season string) string  { return k.prefix + "l." + season } // zset: the distinct scores of a board with dense ranks

func (k *keys) intent(lock string) string { return k.prefix + "i." + lock } // list: a batch over several partitions
func (k *keys) ended(lock string) string  { return k.prefix + "f." + lock } // string: what became of it, for a while

// once is of the batch that a name belongs to. A board's id has no slash.
func (k *keys) once(board, name string) string { return k.prefix + "o." + board + "/" + name }

// nameOf is the name that keys have of a board's season: that of the board, and behind it
// the number of any but the first. A board's id has no slash.
func nameOf(board string, season int) string {
	if season <= 1 {
		return board
	}
	return board + "/" + strconv.Itoa(season)
}

// partitionOf returns the partition of a board. It must never change.
func partitionOf(board string, partitions int) int {
	h := fnv.New64a()
	_, _ = h.Write([]byte(board)) // cannot fail
	return int(h.Sum64() % uint64(partitions))
}
