// Package deadletter keeps dead letters in a stream, one JSON object a record, and lists them again. A letter's
// identity is its partition key; readers fold by it, and the first letter wins.
package deadletter
