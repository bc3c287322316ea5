// Package storetest is the contract of [leaderboard.Store] as tests. Every
// store passes [Run], so that nothing above can tell one store from another.
//
// The named checks each hold a store to one fact of the contract. A state
// machine then drives the store and a [Model] with the same random operations
// and compares every answer. The model is a store too, written so plainly that
// it can be checked by reading; whoever needs to know what a store should have
// answered may ask it.
//
// A new promise of the contract becomes: a line in the model, a check in the
// file of its subject (or a new group in [Run]'s list), an action of the state
// machine, and a mutant in this package's own tests that the check catches.
package storetest
