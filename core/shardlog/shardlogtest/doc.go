// Package shardlogtest is the conformance suite of shardlog engines: what an engine must do whatever it stands on.
// An engine's test is a call of Run.
package shardlogtest
