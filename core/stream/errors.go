package stream

import "errors"

// What a caller should do with each is its first words.
var (
	// ErrNotFound: check the name. There is no such stream or shard.
	ErrNotFound = errors.New("no such stream or shard")
	// ErrExists: choose another name, or use the stream that is there.
	ErrExists = errors.New("stream exists")
	// ErrShardClosed: go to the children. The shard takes no more records.
	ErrShardClosed = errors.New("shard closed")
)
