// Package expr compiles the CEL expressions of pipelines and evaluates them over batches.
//
// The one idea: cel-go parses an expression and checks it against the columns' types, then the checked tree is lowered
// to nodes, each of which can be evaluated in two ways: over whole columns (vec) or for one row (row). Common operators
// have kernels over plain slices; what has none computes its operands as columns and calls CEL's own function per row.
// Both ways agree on every row, which the differential test holds.
//
// Nulls differ from CEL: an absent value is null; ==, != and in take null as a value; has() says that a value is not
// null; every other operator and function gives null for a null operand; &&, ||, ?: and coalesce absorb it. A failure
// (overflow, division by zero, a bad parse, comparing NaN) belongs to its row, outranks null, and is absorbed only by
// && and || and by the branch of ?: that is not taken.
//
// It does not know stages, sinks or YAML.
package expr
