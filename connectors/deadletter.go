package connectors

import (
	"context"
	"fmt"

	"github.com/penstock/penstock/core"
)

// DeadLetter is a row that could not go on, kept where people can look at it and send it on.
type DeadLetter struct {
	Pipeline    string              `json:"pipeline"`
	Incarnation string              `json:"incarnation"`
	Plan        int64               `json:"plan"`
	Spec        string              `json:"spec"`
	Source      string              `json:"source"`
	Shard       core.ShardID        `json:"shard"`
	Seq         core.SequenceNumber `json:"seq"`
	Path        string              `json:"path,omitempty"` // of the file that the record was read from; Seq is its byte there
	Ord         int32               `json:"ord"`
	Stage       string              `json:"stage"`
	Code        string              `json:"code"`
	Reason      string              `json:"reason"`
	Arrival     int64               `json:"arrival"` // milliseconds since 1970
	Key         string              `json:"key"`     // the record's partition key
	Raw         []byte              `json:"raw"`     // the whole record's data; of one that was taken apart, the user record's
}

// Identity is equal for two letters about the same row at the same stage; it is also the letter's partition key.
func (d DeadLetter) Identity() string {
	return fmt.Sprintf("%s/%s/%s/%s/%d/%s", d.Pipeline, d.Incarnation, d.Shard, d.Seq, d.Ord, d.Stage)
}

// DeadLetters keeps dead letters.
type DeadLetters interface {
	// Put returns nil only when every letter is durable. Putting a letter again is harmless: readers fold by identity.
	Put(ctx context.Context, letters []DeadLetter) error
}
