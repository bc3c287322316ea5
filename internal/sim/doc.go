// Package sim is a world of members who play: some well and some badly, in
// sessions rather than evenly, and now and then many of them at once on one
// board. A [World] is a sequence of events on its own clock and nothing else: the
// same seed and options give the same sequence, so that a run can be repeated. A
// [Driver] plays a world in real time against whatever takes submissions.
//
// The demo is such a world, `laurel sim` drives a server with one, and tests
// compare what a server made of one with a model. Nobody in it is real: names
// are syllables thrown together, in the scripts that a page must be able to show.
package sim
