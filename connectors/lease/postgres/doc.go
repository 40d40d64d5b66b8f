// Package postgres is a lease.Store in a table of PostgreSQL, for workers that read a stream of another system and have a
// database at hand.
package postgres
