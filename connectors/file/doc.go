// Package file reads files as a source, a line a record: globs, plain or compressed by gzip or zstd, once or followed.
//
// The one idea: a shard is an immutable run of bytes of one file. A file is known by its path and the hash of its first
// bytes, kept in the control store; what was appended since it was last seen is a further shard. So running a pipeline
// again reads only what is new.
//
// The sequence number of a record is the offset of its line in the decompressed text. It does not read standard input,
// which cannot be read again.
package file
