// Package kinesis reads a stream of Amazon Kinesis Data Streams, or of a server that speaks its API, as a
// connectors.Source.
//
// A shard is read by polling (GetRecords) or as an enhanced fan-out consumer (SubscribeToShard). Both begin at a position
// that the API can find again at any time, since plans are read again:
//
//	after S      AT_SEQUENCE_NUMBER S, and S itself is passed over: if it does not come first, it is gone
//	before S     AT_SEQUENCE_NUMBER S; written S-1, which is no record's number: the low hex digit of a number is 2
//	at a time    AT_TIMESTAMP; written as a short number with a mark, which is less than every record's
//	the start    TRIM_HORIZON; written as the empty number
//
// A start is made such a position once, and committed. trim_horizon is before the first record that is there; latest is
// after the newest record of the server's present second, or else at that second, so that what arrives later is read and
// what was there is not; at is before the first record that arrived then or later, or else at the time.
//
// The API says nothing of records that expired: a reader notices that the record which it begins at is gone. Whether
// others went with it cannot be told, so a gap of an unknown number is said. Nothing can keep the records of a stream of
// others: an open plan whose records expire is lost.
package kinesis
