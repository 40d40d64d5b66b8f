// Package kpl takes apart the records that the Kinesis Producer Library, and what packs as it does, put many user records
// into.
//
// An aggregate is four bytes, a protobuf message and the MD5 of the message:
//
//	F3 89 9A C2
//	AggregatedRecord { repeated string partition_key_table = 1; repeated string explicit_hash_key_table = 2; repeated Record records = 3 }
//	    Record { required uint64 partition_key_index = 1; optional uint64 explicit_hash_key_index = 2; required bytes data = 3; repeated Tag tags = 4 }
//	16 bytes of MD5
//
// What only looks like an aggregate is a record like any other.
package kpl
