// Package memory shares one budget of bytes between everything in a process that may grow: the log's hot tail and append
// queue, batches being read and decoded, and flushes being gathered and written.
//
// The one idea: each of them has a part of its own, so that none waits for another and nothing can lock up. A reader
// waits for room, which is back pressure; a flush never waits, and when all of them have outgrown their part, the largest
// is asked to give up memory. Whoever holds nothing always gets room for one batch, however large.
//
// It counts estimates that its callers make. What Go itself needs beside is a part too, and the runtime's own limit is set
// to the budget, so that garbage is collected before memory is asked for.
package memory
