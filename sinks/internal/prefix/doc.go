// Package prefix reads the prefix expressions of Firehose, such as dt=!{timestamp:yyyy-MM-dd}/, and evaluates them.
//
// The one idea: a prefix is a pure function of a row's time, its partition keys and the plan, so that a replay writes
// under the same names. What comes from data cannot leave its place in a path: it is cleaned, the expression's own
// literals are not.
//
// It does not know where the values come from; see sinks/internal/partition.
package prefix
