// Package limit holds callers to what Kinesis allows each shard, each consumer and each operation in a second. It exists for emulation:
// what a program does when it is throttled can be seen without AWS.
//
// The one idea: a bucket for each limit, which fills at the limit's rate and holds one second of it. Whoever finds it
// empty is refused at once; nobody waits, except subscriptions, which are paced. A bucket that is full says nothing that
// a new one does not, so full ones are forgotten and what is kept is bounded by the traffic of the last seconds.
//
// It knows neither streams nor requests, only their names.
package limit
