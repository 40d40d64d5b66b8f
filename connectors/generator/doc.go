// Package generator makes up realistic events. Event i is a pure function of the seed and i, so a generator can be read
// again from anywhere, like any other source.
package generator
