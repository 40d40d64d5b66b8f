// Package sigv4 checks AWS Signature Version 4 on requests that come in.
//
// The one idea: exactly one form is accepted, the Authorization header over a hashed body, and what the form does not
// cover must not matter. So every header that says what a request means must be signed and stand there once, the path and
// the query are checked as the handler will see them, and a request that could be read in two ways is refused before its
// signature is looked at. An Identity is the proof that all of this was done: no other package can make one.
//
// Presigned queries, unsigned or chunk-signed payloads, versions 2 and 4A of the signature are refused. The package does
// not read bodies (the server hashes the bytes that it parses, once), knows no operations and gives no permissions.
package sigv4
