// Package filter keeps the rows for which a condition is true. Rows for which it is false and rows for which it is
// null are dropped and counted apart; rows for which it fails are refused. Conditions are package expr's.
package filter
