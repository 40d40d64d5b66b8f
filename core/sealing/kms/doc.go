// Package kms wraps data keys by the master keys of a key management service that speaks the API of AWS KMS: AWS's own,
// or another at an endpoint of one's own.
//
// The one idea: master keys never leave the service, which is asked for each data key once, with its stream as the
// encryption context. A name is an alias, a key's id or its ARN; what is stored has the ARN that the service answered
// with, so an alias can be pointed at another key without making what it wrapped unreadable.
//
// Whether a key may still be used is for the service to say and for sealing.Ring to ask.
package kms
