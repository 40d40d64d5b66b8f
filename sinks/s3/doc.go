// Package s3 is the sink that writes a lake of Parquet or NDJSON objects into a bucket of S3, or of anything that speaks
// its API.
//
// Objects are uploaded while rows come, in parts of 8 MiB, and completed when their plan is committed: before that
// nobody sees them. A part that fails stays in memory and is sent again, so an outage loses and repeats nothing.
package s3
