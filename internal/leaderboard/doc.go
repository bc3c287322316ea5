// Package leaderboard holds the words of Laurel as Go types: boards, members,
// exact scores, the rules by which a submission changes an entry, and the
// contract that every store keeps.
//
// A caller speaks to a [Service], which checks what it is given and hands it to
// a [Store]. The store applies a [Batch] all or nothing, numbers every accepted
// change of a board with the next rev, makes it durable together with a record
// in its change log, and only then answers. Readers see a board at one rev at a
// time. The package imports nothing else of Laurel, does no I/O and knows no
// transport; internal/leaderboard/storetest holds stores to what is promised here.
package leaderboard
