// Package certs has the certificate that a server shows and the authorities whose clients it takes, and reads them again
// while the server runs.
//
// The one idea: what is read is used from the next connection on, and only if all of it is right; otherwise the server goes
// on with what it has. Connections that are there already are not touched, so no request is dropped.
//
// Where no certificate is given, a CA of its own is made once and issues one. Certificates are not fetched from anywhere
// (ACME), and none is looked up in lists of those revoked.
package certs
