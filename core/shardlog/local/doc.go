// Package local is the shard log of one machine: one commit log for all logs of the node, so that one fdatasync makes
// a group of appends to any number of logs durable.
//
// The one idea: the unit of durability is the group. Exactly one is being written and synced while the next gathers,
// without a timer. A group names its file, its number and the checksum of the group before it, so a half-written tail
// is told from damage in the middle. Recovery never appends to an old file: it copies the last group, the only one not
// proven synced, into a new one.
//
// Every file begins with the state of all logs, so that it can be read without the files before it. The oldest files
// are moved, in the background, into segments: Arrow files of one log each, or of the leftovers of many. A log's entries
// are in its segments, then in the commit log, then in memory too; each block of a segment names the entry before it, so
// that what is missing is noticed where a reader comes by. docs/format has the bytes of both.
//
// It protects from the death of the process and of the power, not from the loss of the disk.
package local
