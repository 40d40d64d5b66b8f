// Package clients runs AWS's own clients against the server: the SDKs for Python, Go, JavaScript and Java, the command
// line, workers of the Kinesis Client Library for Java and for Python, and the Kinesis Producer Library; and a package that
// is not AWS's. They are fetched once, at pinned versions, by package servers, but for Debian's command line.
//
// The one idea: a client program knows how its SDK is used and nothing of what is right. Each is called as
//
//	PROGRAM ENDPOINT STREAM CORPUS TOLD old|new
//
// makes the stream with 4 shards, puts the records of CORPUS (one a line: key and data in base64, explicit hash key),
// reads them with iterators of all types, provokes every exception, catches it as the class that its SDK has for it, and
// deletes what streams it made beside that one. What the server answered it writes to TOLD, in lines of fields between tabs:
//
//	put             line of the corpus, shard, sequence number
//	trim            shard, sequence number, key, data, arrival in milliseconds; so are latest, at-sequence (from the middle
//	                record of the shard on), after-sequence (after it) and at-timestamp
//	asked           shard, the milliseconds that at-timestamp was asked for
//	error           class, HTTP status, message
//
// With old it also waits until iterators and tokens have expired. The test holds what was told against the corpus, and
// against what another client reads.
//
// Subscribers are called as
//
//	PROGRAM ENDPOINT CONSUMER SHARD,... TOLD old|new
//
// and read shards to their ends with SubscribeToShard. The first subscription of each shard they end after one event, or
// with old the server does, after five minutes; further ones go on after its continuation sequence number. They tell
//
//	record          as trim
//	subscription    shard, how many records it brought, milliseconds that it lasted
//	child           shard, child, its parents, its first and last hash key
//
// Workers of the Kinesis Client Library append what they process to a file: see processed.
package clients
