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
	// ErrPinned: let the pipelines that read the stream finish their open plans, or give these up. They need its records.
	ErrPinned = errors.New("open plans of pipelines need its records: let them finish, or give them up with penstock pipelines abandon-plan")
	// ErrLimit: merge shards, or wait until closed ones are trimmed. The stream has as many as it may have.
	ErrLimit = errors.New("too many shards")
	// ErrResharding: put again. The record's shard was sealed and its children did not open in time; nothing was written.
	ErrResharding = errors.New("shard is being split or merged")
)
