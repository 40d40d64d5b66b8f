// Package json decodes records that are JSON: an object, an array of objects, or several of these after one another.
//
// The one idea: one pass, directed by the schema, writes each value straight into its column; the next key is guessed
// from the last row. What the schema cannot hold exactly goes, as its original text, into the _rescued column, so that
// nothing is dropped; a record that is not JSON is refused whole.
package json
