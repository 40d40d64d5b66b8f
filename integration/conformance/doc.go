// Package conformance holds the Kinesis API against the service model that AWS's own clients are made of, and against
// what a server on the internet has to bear.
//
// The one idea: the model is read as botocore ships it, and nothing of what the server is generated from it is used. From
// the model come the requests, what is wrong with each, and what an answer has to have.
package conformance
