// Package api is Laurel's HTTP side, version 1: boards, submissions, reads,
// health, and the description of itself.
//
// One table, routes, says for every method and path which function serves it,
// which Go types it takes and answers, and what it is for. The table is matched
// against the path as it was sent, percent-encoding and all, so that a member
// may have any name. The OpenAPI document, and the page that shows it, are
// made from the same table and types.
//
// A handler takes a request apart with a [scanner] that knows the request's
// fields, asks [leaderboard.Service], and returns an answer or an error. What
// the caller gets to see of an error is chosen in one place, [API.fail].
package api
