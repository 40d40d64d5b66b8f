// Package kinesissource has tests of pipelines that read streams of other servers: penstock serve, and one of another
// make.
package kinesissource
