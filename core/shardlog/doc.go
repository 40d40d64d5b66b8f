// Package shardlog is the contract of the durable, ordered logs that everything else stands on, and the fold by which
// every reader and writer agrees on what such a log says.
//
// The one idea: the engine owns order and durability and nothing else. Ownership is decided inside the log: a writer
// claims a log by appending OPEN with a higher epoch, and an entry counts only if its epoch is the current one and its
// number is the next. What does not count is invisible for ever, so no clock, lock or lease is needed for safety.
//
// The engines are core/shardlog/local (one machine) and, later, one on the Kafka protocol; shardlogtest is the suite
// that each must pass. This package knows neither streams nor sequence numbers.
package shardlog
