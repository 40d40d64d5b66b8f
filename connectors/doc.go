// Package connectors is what a stream passes through on its way to a store: the contracts of sources, decoders,
// transforms and sinks, and the worker that drives them, lease -> read -> decode -> stages -> stage at the sink ->
// flush plan -> publish -> checkpoint.
//
// The one idea: a flush is planned in the control store before its output becomes visible, and a plan's rows are a pure
// function of its spec, its schema and its spans. Whoever executes a plan again makes the same rows under the same
// names, so every flush trigger is exactly once.
//
// The destinations live in sinks, the stages in transforms, and reading YAML in pipelines; none of them is known here.
package connectors
