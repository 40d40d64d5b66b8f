// Package file reads files as a source: globs, plain or compressed by gzip or zstd, once or followed. A record is a line,
// a line of CSV with the line ends that it quotes, or an element of a JSON array (or a JSON value outside of any), however
// the text is laid out.
//
// The one idea: a shard is an immutable run of bytes of one file. A file is known by its path and the hash of its first
// bytes, kept in the control store; what was appended since it was last seen is a further shard. So running a pipeline
// again reads only what is new.
//
// The sequence number of a record is the byte of the decompressed text where it begins, and reading on from there needs
// to know nothing of what came before but the header of a CSV file, which is read again and stands before every record.
//
// Standard input cannot be read again, and so is no source; Records splits it in the same way.
package file
