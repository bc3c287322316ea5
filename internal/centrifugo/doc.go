// Package centrifugo is where Laurel meets a Centrifugo server, from either side.
//
// A stock Centrifugo can show Laurel's boards: a [Publisher] appends each table
// as a command to a Redis stream, which that server's Redis Stream consumer
// reads. And Laurel can stand in for Centrifugo: a [Consumer] reads the streams
// that were written for such a consumer, by the same commands, in the same kind
// of consumer group and under the same names of settings, which [Parse] takes
// from a configuration. It publishes to Laurel's own viewers what the commands
// publish, and it knows one method more, submit, by which any program that can
// append to a stream submits scores.
//
// A group delivers an entry at least once, to some worker of some node, in no
// order that could be relied on. Publications are put right by their versions;
// scores by the entry's name, under which they are applied at most once. An entry
// that nothing can be done with is set aside in a stream of its own with the
// reason, and the next one goes on.
package centrifugo
