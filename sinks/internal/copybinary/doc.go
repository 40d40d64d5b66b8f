// Package copybinary writes Arrow columns in the binary format of PostgreSQL's COPY
// (https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.4): a row costs no allocation and no text.
//
// The one idea: each pair of an Arrow type and a type of PostgreSQL has a function that appends one value, chosen once a
// column. Pairs without one go through the value's text, which pgx parses for the type. A value that its column cannot
// hold is an error of its row, never another value.
package copybinary
