// Package compute adds or replaces columns by expressions, in the order they are written: each sees the columns before
// it. A row for which an expression fails is refused. Expressions are package expr's.
package compute
