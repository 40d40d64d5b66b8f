// Package rows selects rows of batches, hidden columns included, and swaps columns. It does not judge them.
package rows
