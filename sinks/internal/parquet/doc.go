// Package parquet writes Arrow batches as a Parquet file, column by column and without a Go value per row.
//
// The one idea: every leaf column is shredded into repetition and definition levels straight from the Arrow arrays, for
// all rows or a selection of them, and its values are copied into the open page as Parquet lays them out; closed pages are
// compressed beside the caller. Headers and footer are parquet-go's structures, and the schema is described by it.
// Hidden columns are left out, visible ones keep their order. Row groups leave for the output as they fill, so memory is
// bounded by one of them.
//
// Strings and 64-bit numbers whose first values recur get a dictionary, which is given up when it outgrows its bound; the
// rest is written plainly, which with zstd is smaller and faster than Parquet's delta encodings. Pages have about 1 MiB.
//
// It does not decide where a file goes or when it becomes visible; see sinks/internal/lake.
package parquet
