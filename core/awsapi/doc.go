// Package awsapi is the server side of AWS's request protocols: it takes HTTP requests, finds their protocol and
// operation, checks who sent them, reads their documents, calls the operation and writes what it answers.
//
// The one idea: a service is a table of operations, each a function from one struct to another; everything that all
// services have in common stands here, once, before any operation runs. It knows no service; core/kinesisapi and
// pipelines/firehoseapi are tables for it.
package awsapi
