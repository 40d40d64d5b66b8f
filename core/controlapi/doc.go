// Package controlapi lets workers on other hosts use the control store of a server: the rows of the pipelines that they
// run, their leases, checkpoints and plans, with the same multi-key compare-and-swap.
//
// The one idea: it is one more service of core/awsapi, so that requests are signed, refused and bounded as those of the
// Kinesis API are; and a request is about one pipeline, whose rows are all that it can reach.
package controlapi
