// Package parquet writes Arrow batches as a Parquet file, column by column and without a Go value per row.
//
// The one idea: every leaf column is shredded into repetition and definition levels straight from the Arrow arrays, for
// all rows or a selection of them, and handed to parquet-go's column writers. Hidden columns are left out, visible ones
// keep their order. Row groups leave for the output as they fill, so memory is bounded by one of them.
//
// It does not decide where a file goes or when it becomes visible; see sinks/internal/object.
package parquet
