// Package raw passes records on as they are: one column, data, of binary, or of strings with {raw: {as: text}}, which
// refuses a record that is not UTF-8.
package raw
