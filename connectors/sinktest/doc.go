// Package sinktest is the conformance suite that every sink passes: staging, publishing once, again and by two workers,
// what is visible before and after, nulls, nested values, text of every kind, many partitions and none.
//
// A sink's test is a Target and a call of Run. The suite knows no destination: the Target reads back what is there.
package sinktest
