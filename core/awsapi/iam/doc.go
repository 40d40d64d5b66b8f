// Package iam says who may do what: the keys of a node, which stand in its credentials file, and policies in the JSON of
// AWS's IAM.
//
// The one idea: what is not understood is refused when it is loaded, never passed over when it is asked. A policy whose
// condition, key or element means nothing here does not load, so a Deny cannot be lost by a word that is not known, and
// whatever no statement allows is denied. Policies are compiled when they are loaded; Evaluate is a pure function of the
// request and of them.
//
// There are no groups, roles, policy variables or tags, and the package does not know the operations of any service.
package iam
