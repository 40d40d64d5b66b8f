// Package file reads files as a source: globs, plain or compressed by gzip or zstd, once or followed. A record is a line,
// a line of CSV with the line ends that it quotes, or an element of a JSON array (or a JSON value outside of any), however
// the text is laid out.
//
// The one idea: a file is known by its text, and a shard is a run of that text. How the text begins, and what stands before
// the place that was read to, are kept in the control store as hashes, so a file that was renamed, compressed or copied is
// found again wherever it is. A run has no end until the end of the text is found and noted; what is appended then is a
// further shard. So running a pipeline again reads only what is new.
//
// catalogue.go has the rows, evidence.go what proves that a file is the one, look.go finds out which file is where,
// settle.go what follows from it, reader.go reads a run, following.go is what readers and looks tell each other.
//
// The sequence number of a record is the byte of the decompressed text where it begins, and reading on from there needs
// to know nothing of what came before but the header of a CSV file, which is read again and stands before every record.
//
// Standard input cannot be read again, and so is no source; Records splits it in the same way.
package file
