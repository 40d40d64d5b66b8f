package controlapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"

	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/control"
)

// Name is the service's name in signatures, ARNs and actions, such as penstock:CommitRows.
const Name = "penstock"

// Target names the service, and the version of its documents, in requests.
const Target = "PenstockControl_1"

// Codes of the service's own errors.
const (
	codeConflict = "ConflictException"
	codeUnknown  = "OutcomeUnknownException"
	codeInvalid  = "ValidationException"
)

// Config says where the service is; its ARNs have it.
type Config struct{ Region, Account string }

// Match reports whether a request is for the service.
func Match(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/service/"+Target+"/") }

// Service is the table of operations over a store.
func Service(store *control.Store, cfg Config) awsapi.Service {
	a := api{store: store, cfg: cfg}
	return awsapi.Service{Name: Name, Target: Target, Operations: []awsapi.Operation{
		awsapi.Op("GetRow", func(in *getInput) string { return a.arn(in.Pipeline) }, a.get),
		awsapi.Op("ListRows", func(in *listInput) string { return a.arn(in.Pipeline) }, a.list),
		awsapi.Op("ListPipelines", func(*pipelinesInput) string { return a.arn("*") }, a.pipelines),
		awsapi.Op("CommitRows", func(in *commitInput) string { return a.arn(in.Pipeline) }, a.commit),
	}}
}

type api struct {
	store *control.Store
	cfg   Config
}

func (a api) arn(pipeline string) string {
	return "arn:aws:" + Name + ":" + a.cfg.Region + ":" + a.cfg.Account + ":pipeline/" + pipeline
}

// Rows of specs are named by what they hold and shared by pipelines.
const specs = "specs/"

// within refuses keys that are none of a pipeline's.
func within(pipeline, key string) error {
	if strings.HasPrefix(key, "pipelines/"+pipeline+"/") || strings.HasPrefix(key, "pins/"+pipeline+"/") || strings.HasPrefix(key, specs) {
		return nil
	}
	return awsapi.Refuse(codeInvalid, "The row %q is none of pipeline %s.", key, pipeline)
}

func (a api) get(ctx context.Context, _ *awsapi.Call, in *getInput) (*getOutput, error) {
	if err := within(in.Pipeline, in.Key); err != nil {
		return nil, err
	}
	r, ok, err := a.store.Get(ctx, in.Key)
	if err != nil || !ok {
		return &getOutput{}, err
	}
	return &getOutput{Row: &row{r.Key, r.Value, r.Version}}, nil
}

// page is how many bytes of rows an answer of ListRows has, and one row more.
const page = 1 << 20

func (a api) list(ctx context.Context, _ *awsapi.Call, in *listInput) (*listOutput, error) {
	if err := within(in.Pipeline, in.Prefix); err != nil {
		return nil, err
	}
	all, err := a.store.List(ctx, in.Prefix)
	if err != nil {
		return nil, err
	}
	out := &listOutput{}
	size := 0
	for _, r := range all {
		switch {
		case r.Key <= in.After:
		case size >= page:
			out.More = true
			return out, nil
		default:
			size += len(r.Key) + len(r.Value)
			out.Rows = append(out.Rows, row{r.Key, r.Value, r.Version})
		}
	}
	return out, nil
}

// pipelines names those that have a state, a page after another.
func (a api) pipelines(ctx context.Context, _ *awsapi.Call, in *pipelinesInput) (*pipelinesOutput, error) {
	all, err := a.store.List(ctx, "pipelines/")
	if err != nil {
		return nil, err
	}
	out := &pipelinesOutput{Pipelines: []string{}}
	for _, r := range all {
		name, ok := strings.CutSuffix(strings.TrimPrefix(r.Key, "pipelines/"), "/state")
		if !ok || name <= in.After {
			continue
		}
		if len(out.Pipelines) == maxNames {
			out.More = true
			break
		}
		out.Pipelines = append(out.Pipelines, name)
	}
	return out, nil
}

// maxNames is how many names an answer of ListPipelines has.
const maxNames = 1000

func (a api) commit(ctx context.Context, _ *awsapi.Call, in *commitInput) (*commitOutput, error) {
	t := control.Txn{Checks: make([]control.Check, len(in.Checks)), Writes: make([]control.Write, len(in.Writes))}
	for i, c := range in.Checks {
		if err := within(in.Pipeline, c.Key); err != nil {
			return nil, err
		}
		t.Checks[i] = control.Check{Key: c.Key, Version: c.Version}
	}
	for i, w := range in.Writes {
		if err := errors.Join(within(in.Pipeline, w.Key), spec(w)); err != nil {
			return nil, err
		}
		t.Writes[i] = control.Write{Key: w.Key}
		if !w.Delete {
			t.Writes[i].Value = append([]byte{}, w.Value...) // an empty value is one, and no deletion
		}
	}
	version, err := a.store.Commit(ctx, t)
	switch {
	case errors.Is(err, control.ErrConflict):
		return nil, awsapi.Refuse(codeConflict, "%s", err)
	case errors.Is(err, control.ErrUnknown):
		return nil, &awsapi.Error{Code: codeUnknown, Status: http.StatusInternalServerError, Message: err.Error()}
	case err != nil:
		return nil, err
	}
	return &commitOutput{version}, nil
}

// spec refuses to write a spec's row that does not hold what it is named by: the pipelines of others may have it too.
func spec(w write) error {
	name, ok := strings.CutPrefix(w.Key, specs)
	if !ok {
		return nil
	}
	sum := sha256.Sum256(w.Value)
	if w.Delete || name != hex.EncodeToString(sum[:16]) {
		return awsapi.Refuse(codeInvalid, "The row %q is named by the hash of a spec, and what it is to hold is another or none.", w.Key)
	}
	return nil
}
