// Package columns gathers what decoders of text find, such as CSV and log lines, into the columns of a batch.
//
// The one idea: a value is a text, and a column takes it if its type holds it exactly; what no column takes is rescued,
// as a JSON object, so that nothing is dropped. Columns are flat: it knows no structs and no lists.
package columns
