// Package csv decodes comma-separated values: RFC 4180, with any delimiter and quote of one character.
//
// The one idea: a record says itself what its fields are. With header: true it begins with a header line, and rows
// follow; the file source puts a file's header before each of its lines, so that a row means the same wherever it is
// read, replayed or found among the dead letters. Without, the names are those of columns, else column0, column1 and
// so on. A quoted field may hold line ends.
//
// A column is bool, int64 or double where every value in the first records is, and a string otherwise; quotes do not
// count, since many programs quote everything. Numbers are those that JSON has: 007 and +1 are strings, which keep what
// they are. A later value that the column cannot hold goes to _rescued, but int64 becomes double where that is exact. A
// field equal to one of null, which by default is the empty text, is null unless it is quoted; a column without any value
// yet does not exist yet.
//
// A row with more fields than names keeps the others in _rescued; one with fewer is refused, as it may be half of one.
package csv
