// Package postgres is the sink that loads tables of PostgreSQL.
//
// The one idea: rows, the checkpoints of their shards and the plan's manifest are written in one transaction, which first
// locks the checkpoints and compares them with where the plan begins and ends. So a plan is in the database whole or not at
// all, and a second worker, or the same after a lost answer, finds it done. Rows go in by COPY in its binary format; with a
// key, through a temporary table and one INSERT ... ON CONFLICT.
package postgres
