package connectors

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/ipc"

	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
)

// ErrForeignOutput says that the destination holds output of an earlier incarnation of the pipeline. Choose another
// prefix, or adopt what is there.
var ErrForeignOutput = errors.New("the destination holds output of an earlier incarnation of this pipeline")

// State is a pipeline's row in the control store.
type State struct {
	Incarnation string `json:"incarnation"`
	NextPlan    int64  `json:"next_plan"`
	Schema      int64  `json:"schema"` // version of the newest schema; 0 while there is none
	Spec        string `json:"spec"`   // hash of the spec that ran last
	// PausedAt is since when the pipeline is to read nothing, whoever runs it; nil: it is not paused.
	PausedAt *time.Time `json:"paused_at,omitempty"`
}

// Progress is the row of one shard of a pipeline.
type Progress struct {
	Source     string              `json:"source"`
	Shard      core.ShardID        `json:"shard"`
	Checkpoint core.SequenceNumber `json:"checkpoint"`     // everything through it is durable downstream
	OpenPlan   int64               `json:"open_plan"`      // number of the plan that is committed but not done; 0 if none
	ProofFrom  core.SequenceNumber `json:"proof_from"`     // where the next manifest's span begins
	Carried    Counts              `json:"carried"`        // of (ProofFrom, Checkpoint], for the next manifest
	Totals     Counts              `json:"totals"`         // of everything through Checkpoint
	Ended      bool                `json:"ended"`          // the shard is closed and read to its end
	Lost       []Gap               `json:"lost,omitempty"` // what was never delivered, the newest maxGaps
	Parents    []core.ShardID      `json:"parents,omitempty"`
	// Begin is where other software left the shard, in a store that is shared with it: it has no checkpoint of ours yet, or
	// that one is not where it stands any more.
	Begin *Start `json:"begin,omitempty"`
}

// keys of a pipeline's rows.
type keys struct{ pipeline string }

func pipelinePrefix(name string) string { return "pipelines/" + name + "/" }

func (k keys) state() string         { return pipelinePrefix(k.pipeline) + "state" }
func (k keys) all(inc string) string { return pipelinePrefix(k.pipeline) + inc + "/" }
func (k keys) shards(inc, src string) string {
	return k.all(inc) + "shards/" + src + "/"
}

func (k keys) shard(inc, src string, s core.ShardID) string { return k.shards(inc, src) + string(s) }

func (k keys) leases(inc, src string) string { return k.all(inc) + "leases/" + src + "/" }

// starting is there while the rows of the shards of a first start are made in several transactions.
func (k keys) starting(inc, src string) string { return k.all(inc) + "starting/" + src }

func (k keys) plan(inc string, n int64) string { return fmt.Sprintf("%splans/%012d", k.all(inc), n) }

// pin names the pins of a plan.
func (k keys) pin(inc string, n int64) string { return fmt.Sprintf("%s/%s/%012d", k.pipeline, inc, n) }

func (k keys) schema(inc string, v int64) string { return fmt.Sprintf("%sschemas/%08d", k.all(inc), v) }

// SpecKey is the row under which a checked spec is stored.
func SpecKey(hash string) string { return "specs/" + hash }

// LoadState reads a pipeline's row; ok is false if it never ran.
func LoadState(ctx context.Context, store lease.Store, pipeline string) (State, bool, error) {
	_, st, err := loadRow[State](ctx, store, keys{pipeline}.state())
	return st, st.Incarnation != "", err
}

// ListProgress reads how far a pipeline's present incarnation got in each shard.
func ListProgress(ctx context.Context, store lease.Store, pipeline string) ([]Progress, error) {
	st, ok, err := LoadState(ctx, store, pipeline)
	if err != nil || !ok {
		return nil, err
	}
	return listRows[Progress](ctx, store, keys{pipeline}.all(st.Incarnation)+"shards/")
}

// listRows reads the JSON rows whose keys begin with prefix.
func listRows[T any](ctx context.Context, store lease.Store, prefix string) ([]T, error) {
	rows, err := store.List(ctx, prefix)
	if err != nil {
		return nil, err
	}
	out := make([]T, len(rows))
	for i, r := range rows {
		if err := json.Unmarshal(r.Value, &out[i]); err != nil {
			return nil, fmt.Errorf("read %s: %w", r.Key, err)
		}
	}
	return out, nil
}

// ListPipelines names the pipelines that have run on this store.
func ListPipelines(ctx context.Context, store lease.Store) ([]string, error) {
	rows, err := store.List(ctx, "pipelines/")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, r := range rows {
		if name, ok := strings.CutSuffix(strings.TrimPrefix(r.Key, "pipelines/"), "/state"); ok {
			out = append(out, name)
		}
	}
	return out, nil
}

// OpenPlans lists the plans of the pipeline's present incarnation that are committed but not done.
func OpenPlans(ctx context.Context, store lease.Store, pipeline string) ([]Plan, error) {
	st, ok, err := LoadState(ctx, store, pipeline)
	if err != nil || !ok {
		return nil, err
	}
	return listRows[Plan](ctx, store, keys{pipeline}.all(st.Incarnation)+"plans/")
}

func newIncarnation() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// loadRow reads a JSON row; where there is none, the row's version is 0 and the value is zero.
func loadRow[T any](ctx context.Context, store lease.Store, key string) (control.Row, T, error) {
	var v T
	row, ok, err := store.Get(ctx, key)
	if err != nil {
		return row, v, fmt.Errorf("read %s: %w", key, err)
	}
	if !ok {
		return control.Row{Key: key}, v, nil
	}
	if err := json.Unmarshal(row.Value, &v); err != nil {
		return row, v, fmt.Errorf("read %s: %w", key, err)
	}
	return row, v, nil
}

// jsonRow is a write of v as JSON.
func jsonRow(key string, v any) control.Write {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own structs of strings, numbers and slices always marshal
	}
	return control.Write{Key: key, Value: b}
}

// encodeSchema is the Arrow IPC form of a schema.
func encodeSchema(s *arrow.Schema) ([]byte, error) {
	var buf bytes.Buffer
	w := ipc.NewWriter(&buf, ipc.WithSchema(s))
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("encode schema: %w", err)
	}
	return buf.Bytes(), nil
}

func decodeSchema(b []byte) (*arrow.Schema, error) {
	r, err := ipc.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("decode schema: %w", err)
	}
	defer r.Release()
	return r.Schema(), nil
}
