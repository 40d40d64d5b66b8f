package core

import (
	"fmt"
	"regexp"
)

// StreamName is what users call a stream: 1 to 128 of the characters a-z A-Z 0-9 _ . -
// It is never used as a path: folders and logs are named by generated ids.
type StreamName string

// ShardID names a shard within its stream, in AWS's form shardId-000000000000.
type ShardID string

var streamName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)

// Validate returns ErrInvalid, wrapped, when n is not a legal stream name.
func (n StreamName) Validate() error {
	if !streamName.MatchString(string(n)) {
		return fmt.Errorf("stream name %q must be 1 to 128 of the characters a-z A-Z 0-9 _ . -: %w", string(n), ErrInvalid)
	}
	return nil
}

// NewShardID formats the n-th shard of a stream, as AWS does.
func NewShardID(n int) ShardID { return ShardID(fmt.Sprintf("shardId-%012d", n)) }
