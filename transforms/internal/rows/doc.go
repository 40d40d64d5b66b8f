// Package rows swaps columns of batches, hidden ones included. It does not judge them.
package rows
