package lease

import "encoding/json"

// State is what a lease's row says.
type State struct {
	Owner   string `json:"owner"`
	Epoch   int64  `json:"epoch"`            // rises whenever the lease is taken
	Counter int64  `json:"counter"`          // rises whenever it is taken, and when it is renewed by itself
	Wanted  string `json:"wanted,omitempty"` // the worker that asks for it
	Load    int64  `json:"load,omitempty"`   // bytes a second that are read under it
}

// member is what a worker's row says.
type member struct {
	Counter int64 `json:"counter"`        // rises with each beat
	Left    bool  `json:"left,omitempty"` // the worker has ended, and knows of no lease that it has
}

// The rows under a manager's prefix.
const (
	leaseRows  = "shards/"
	memberRows = "workers/"
)

// decodeState reads a lease's row; false where it is not one, such as another layout's, which has no owner or epoch.
func decodeState(value []byte) (State, bool) {
	var w struct {
		Owner *string `json:"owner"`
		State
	}
	if err := json.Unmarshal(value, &w); err != nil || w.Owner == nil || w.Epoch < 1 {
		return State{}, false
	}
	w.State.Owner = *w.Owner
	return w.State, true
}

func decodeMember(value []byte) (member, bool) {
	var w struct {
		Counter *int64 `json:"counter"`
		member
	}
	if err := json.Unmarshal(value, &w); err != nil || w.Counter == nil {
		return member{}, false
	}
	w.member.Counter = *w.Counter
	return w.member, true
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // a struct of strings and integers always marshals
	}
	return b
}
