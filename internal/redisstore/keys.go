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
	nodes     string // zset: nodes by when they were heard of; of the first partition alone
}

func newKeys(prefix string, partition int) keys {
	p := prefix + ".{" + strconv.Itoa(partition) + "}."
	return keys{
		prefix: p, meta: p + "meta", log: p + "log", boards: p + "boards", lease: p + "lease",
		intents: p + "intents", decisions: p + "decisions", adopted: p + "adopted", nodes: p + "nodes",
	}
}

func (k *keys) state(board string) string   { return k.prefix + "s." + board } // hash: rev, sr, settings, k, lock
func (k *keys) ranks(board string) string   { return k.prefix + "z." + board } // zset: ties and members
func (k *keys) entries(board string) string { return k.prefix + "e." + board } // hash: member to entry
func (k *keys) levels(board string) string  { return k.prefix + "l." + board } // zset: the distinct scores of a board with dense ranks
func (k *keys) counts(board string, odd int) string {
	return k.prefix + "c" + strconv.Itoa(odd) + "." + board
}                                         // hash: submissions of each member in an even or an odd minute, and at '' which
func (k *keys) answer(lane string) string { return k.prefix + "a." + lane } // string: the last answer of a lane

func (k *keys) intent(lock string) string { return k.prefix + "i." + lock } // list: a batch over several partitions
func (k *keys) ended(lock string) string  { return k.prefix + "f." + lock } // string: what became of it, for a while

// once is of the batch that a name belongs to. A board's id has no slash.
func (k *keys) once(board, name string) string { return k.prefix + "o." + board + "/" + name }

// partitionOf returns the partition of a board. It must never change.
func partitionOf(board string, partitions int) int {
	h := fnv.New64a()
	_, _ = h.Write([]byte(board)) // cannot fail
	return int(h.Sum64() % uint64(partitions))
}
