package pipelines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/file"
	"github.com/penstock/penstock/connectors/generator"
	"github.com/penstock/penstock/connectors/kinesis"
	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/connectors/streamsource"
	"github.com/penstock/penstock/core"
)

// Books are what is known of pipelines, for who looks at them from outside: their states, checkpoints and plans, in a node or
// in a state that workers share.
type Books struct {
	Node     *Node  // that has the rows; nil with State
	State    *State // that has them
	Registry *Registry
	Env      func(string) (string, bool) // for specs that are stored
}

// Store has the rows of a pipeline.
func (b *Books) Store(ctx context.Context, pipeline string) (lease.Store, error) {
	if b.State != nil {
		return b.State.Store(ctx, pipeline)
	}
	return b.Node.Control, nil
}

// Names lists the pipelines that have run.
func (b *Books) Names(ctx context.Context) ([]string, error) {
	if b.State == nil {
		return connectors.ListPipelines(ctx, b.Node.Control)
	}
	if b.State.Names == nil {
		return nil, fmt.Errorf("this state cannot list its pipelines: name one: %w", core.ErrInvalid)
	}
	ctx, stop := b.reach(ctx)
	defer stop()
	names, err := b.State.Names(ctx)
	return names, b.away(ctx, err)
}

// state is a pipeline's row.
func (b *Books) state(ctx context.Context, pipeline string) (connectors.State, error) {
	ctx, stop := b.reach(ctx)
	defer stop()
	store, err := b.Store(ctx, pipeline)
	if err != nil {
		return connectors.State{}, err
	}
	st, ok, err := connectors.LoadState(ctx, store, pipeline)
	if err == nil && !ok {
		where := "with this state"
		if b.State == nil {
			where = "on this data directory"
		}
		err = fmt.Errorf("no pipeline %s ran %s; penstock pipelines list names those that did: %w", pipeline, where, core.ErrInvalid)
	}
	return st, b.away(ctx, err)
}

// reachTime is how long a state that workers share may take to answer who looks at it; workers wait as long as it takes.
const reachTime = 15 * time.Second

// reach bounds how long a shared state may take to answer.
func (b *Books) reach(ctx context.Context) (context.Context, context.CancelFunc) {
	if b.State == nil {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, reachTime)
}

// away says that a state did not answer in time.
func (b *Books) away(ctx context.Context, err error) error {
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("the state did not answer within %s: %w", reachTime, err)
	}
	return err
}

// Standing is how a pipeline stands as a whole.
type Standing struct {
	Pipeline    string     `json:"pipeline"`
	Incarnation string     `json:"incarnation"`
	PausedAt    *time.Time `json:"paused_at,omitempty"`
	OpenPlans   []int64    `json:"open_plans"`        // committed and not done
	Holders     []string   `json:"workers,omitempty"` // that hold leases; one that died does until others take them
}

// Drained reports whether nothing of the pipeline is under way.
func (s Standing) Drained() bool { return len(s.OpenPlans) == 0 && len(s.Holders) == 0 }

// Standing reads how a pipeline stands.
func (b *Books) Standing(ctx context.Context, pipeline string) (s Standing, err error) {
	st, err := b.state(ctx, pipeline)
	if err != nil {
		return s, err
	}
	s = Standing{Pipeline: pipeline, Incarnation: st.Incarnation, PausedAt: st.PausedAt, OpenPlans: []int64{}}
	store, err := b.Store(ctx, pipeline)
	if err != nil {
		return s, err
	}
	plans, err := connectors.OpenPlans(ctx, store, pipeline)
	if err != nil {
		return s, err
	}
	for _, p := range plans {
		s.OpenPlans = append(s.OpenPlans, p.Number)
	}
	leases, err := connectors.LookAtLeases(ctx, store, pipeline)
	s.Holders = leases.Holders()
	if b.Node != nil && b.Node.Idle(pipeline) != nil {
		s.Holders = append(s.Holders, fmt.Sprintf("process %d", os.Getpid()))
	}
	return s, err
}

// Pause has the pipeline's workers deliver what they have read, and stop reading, wherever they are and until Resume.
func (b *Books) Pause(ctx context.Context, pipeline string) (since time.Time, err error) {
	if _, err := b.state(ctx, pipeline); err != nil {
		return since, err
	}
	store, err := b.Store(ctx, pipeline)
	if err != nil {
		return since, err
	}
	since, _, err = connectors.Pause(ctx, store, pipeline)
	return since, err
}

// Resume has the pipeline's workers go on.
func (b *Books) Resume(ctx context.Context, pipeline string) error {
	if _, err := b.state(ctx, pipeline); err != nil {
		return err
	}
	store, err := b.Store(ctx, pipeline)
	if err != nil {
		return err
	}
	_, err = connectors.Resume(ctx, store, pipeline)
	return err
}

// Unattended returns an error while a worker reads the pipeline: what would pull the ground from under it has to wait until it
// is stopped, or paused and done with what it had. That workers of other hosts which seem to hold leases are dead is known only
// when they have stood still for the failover time.
func (b *Books) Unattended(ctx context.Context, pipeline string, failover time.Duration) error {
	if b.Node != nil {
		if err := b.Node.Idle(pipeline); err != nil {
			return err
		}
	}
	store, err := b.Store(ctx, pipeline)
	if err != nil {
		return err
	}
	live, err := connectors.LiveHolders(ctx, store, pipeline, failover)
	if err == nil && len(live) > 0 {
		err = fmt.Errorf("pipeline %s %w in %s: stop it first, or pause it and wait until it has delivered what it read", pipeline, ErrRunning, strings.Join(live, ", "))
	}
	return err
}

// Spec is the pipeline file that ran last.
func (b *Books) Spec(ctx context.Context, pipeline string) (*Spec, error) {
	text, err := b.SpecText(ctx, pipeline)
	if err != nil {
		return nil, err
	}
	return b.Registry.Load("stored pipeline "+pipeline, text, b.Env)
}

// SpecText is its text, with references in place of what environment variables hold.
func (b *Books) SpecText(ctx context.Context, pipeline string) ([]byte, error) {
	st, err := b.state(ctx, pipeline)
	if err != nil {
		return nil, err
	}
	store, err := b.Store(ctx, pipeline)
	if err != nil {
		return nil, err
	}
	row, ok, err := store.Get(ctx, connectors.SpecKey(st.Spec))
	if err == nil && !ok {
		err = fmt.Errorf("the file that pipeline %s ran with (%s) is not stored any more", pipeline, st.Spec)
	}
	return row.Value, err
}

// serverStream is the id of a stream of a server, as checkpoints have it.
var serverStream = regexp.MustCompile(`^(arn:aws[a-z-]*:kinesis:[a-z0-9-]+:\d{12}:stream/[a-zA-Z0-9_.-]+)@\d+$`)

// Source opens what a pipeline read last, to look at it. id is that of a source which its shards name; empty where there are
// none yet.
func (b *Books) Source(ctx context.Context, pipeline, id string) (connectors.Source, error) {
	if b.State != nil && b.State.Server != nil {
		if m := serverStream.FindStringSubmatch(id); m != nil {
			c := *b.State.Server
			c.Stream = m[1]
			return sameAs(kinesis.Open(ctx, c, kinesis.Options{}))(id)
		}
	}
	if b.Node != nil {
		infos, err := b.Node.Streams.List(ctx)
		if err != nil {
			return nil, err
		}
		for _, i := range infos {
			if i.ID == id {
				s, err := b.Node.Streams.Open(ctx, i.Name)
				return streamsource.New(s), err
			}
		}
	}
	s, err := b.Spec(ctx, pipeline)
	if err != nil {
		return nil, err
	}
	switch {
	case s.Source.Kinesis != nil:
		c := *s.Source.Kinesis
		c.Mode, c.Consumer = "", "" // a consumer would be registered
		return sameAs(kinesis.Open(ctx, c, kinesis.Options{}))(id)
	case b.State != nil:
		c, err := b.State.server(s)
		if err != nil {
			return nil, err
		}
		return sameAs(kinesis.Open(ctx, c, kinesis.Options{}))(id)
	case s.Source.File != nil && s.Source.File.IsStdin():
		s.Source.Stream = stdinStream(pipeline)
	case s.Source.File != nil:
		return file.New(*s.Source.File, connectors.Framing{}, b.Node.Control, pipeline, nil)
	case s.Source.Generate != nil:
		g, err := generator.New(*s.Source.Generate)
		return generator.NewSource(g), err
	}
	st, err := b.Node.Streams.Open(ctx, s.Source.Stream)
	if err != nil {
		return nil, err
	}
	return sameAs(streamsource.New(st), nil)(id)
}

// sameAs is a source that was opened, if it is the one with an id.
func sameAs[S connectors.Source](s S, err error) func(id string) (connectors.Source, error) {
	return func(id string) (connectors.Source, error) {
		if err == nil && id != "" && s.ID() != id {
			err = errors.Join(errors.New("the stream was deleted and made again"), s.Close())
		}
		return s, err
	}
}

// Progress is how far the pipeline's present incarnation got in each shard.
func (b *Books) Progress(ctx context.Context, pipeline string) ([]ShardProgress, error) {
	store, err := b.Store(ctx, pipeline)
	if err != nil {
		return nil, err
	}
	all, err := connectors.ListProgress(ctx, store, pipeline)
	if err != nil {
		return nil, err
	}
	files, err := file.Lefts(ctx, store, pipeline)
	if err != nil {
		return nil, err
	}
	leases, err := connectors.LookAtLeases(ctx, store, pipeline)
	if err != nil {
		return nil, err
	}
	out := make([]ShardProgress, len(all))
	away := map[string][]*ShardProgress{} // by source, of those that are not this node's
	for i, p := range all {
		out[i].Progress, out[i].Owner = p, leases.Owner(p.Source, p.Shard)
		if left, ok := files[p.Shard]; ok {
			out[i].File = &left
		} else {
			away[p.Source] = append(away[p.Source], &out[i])
		}
	}
	for id, shards := range away {
		if err := b.lags(ctx, pipeline, id, shards); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// askAtOnce is how many shards of a server are asked at the same time.
const askAtOnce = 8

// lags finds how far behind shards of one source are. Of a source that cannot be asked, it says why.
func (b *Books) lags(ctx context.Context, pipeline, id string, shards []*ShardProgress) error {
	if b.Node != nil {
		if name, err := b.Node.named(ctx, id); err != nil {
			return err
		} else if name != "" {
			for _, p := range shards {
				if err := b.Node.lag(ctx, name, p); err != nil {
					return fmt.Errorf("find the lag in %s of stream %s: %w", p.Shard, name, err)
				}
			}
			return nil
		}
	}
	source, err := b.Source(ctx, pipeline, id)
	lagging, ok := source.(connectors.Lagging)
	if err == nil && !ok {
		err = errors.New("not a stream of this node")
	}
	if err != nil {
		for _, p := range shards {
			p.Problem = err.Error()
		}
		return nil
	}
	defer source.Close() //nolint:errcheck // it only reads
	var g errgroup.Group
	g.SetLimit(askAtOnce)
	for _, p := range shards {
		if p.Ended {
			continue
		}
		g.Go(func() error {
			d, err := lagging.Lag(ctx, p.Shard, p.Checkpoint)
			if p.Lag = connectors.Duration(d); err != nil {
				p.Problem = err.Error()
			}
			return nil
		})
	}
	return g.Wait()
}

// named is the name of the node's stream with an id; empty where it has none.
func (n *Node) named(ctx context.Context, id string) (core.StreamName, error) {
	infos, err := n.Streams.List(ctx)
	for _, i := range infos {
		if i.ID == id {
			return i.Name, err
		}
	}
	return "", err
}

// PrepareReset says what a reset of a pipeline would do. Where to is nothing, its file says where it begins.
func (b *Books) PrepareReset(ctx context.Context, pipeline string, to connectors.ResetTo) (*connectors.Reset, error) {
	if _, err := b.state(ctx, pipeline); err != nil {
		return nil, err
	}
	store, err := b.Store(ctx, pipeline)
	if err != nil {
		return nil, err
	}
	if to.Start.Kind == "" && len(to.After) == 0 {
		to.Start.Kind = connectors.StartTrimHorizon
		if s, err := b.Spec(ctx, pipeline); err == nil && s.Source.Start.Kind != "" {
			to.Start = s.Source.Start
		}
	}
	was, err := connectors.ListProgress(ctx, store, pipeline)
	if err != nil {
		return nil, err
	}
	id := ""
	for i, p := range was {
		if id = p.Source; i > 0 && was[i-1].Source != id { // its file says which of them it reads now
			id = ""
			break
		}
	}
	source, err := b.Source(ctx, pipeline, id)
	if err != nil {
		return nil, fmt.Errorf("open what pipeline %s reads: %w", pipeline, err)
	}
	defer source.Close() //nolint:errcheck // it only reads
	r, _, err := connectors.PrepareReset(ctx, store, source, pipeline, to)
	return r, err
}

// Letters opens the stream of that name, in which dead letters are.
func (b *Books) Letters(ctx context.Context, name core.StreamName) (connectors.Source, error) {
	if err := name.Validate(); err != nil {
		return nil, err
	}
	switch {
	case b.State == nil:
		s, err := b.Node.Streams.Open(ctx, name)
		if err != nil {
			return nil, err
		}
		return streamsource.New(s), nil
	case b.State.Server == nil:
		return nil, fmt.Errorf("dead letters are in the server that the records come from: name that, with --state http(s)://HOST:PORT: %w", core.ErrInvalid)
	}
	c := *b.State.Server
	c.Stream = string(name)
	return kinesis.Open(ctx, c, kinesis.Options{})
}

// DrySource opens what a spec would read there, so that looking at it leaves no trace. b may be nil, for what needs neither a
// node nor a state.
func (b *Books) DrySource(ctx context.Context, r *Registry, s *Spec) (connectors.Source, error) {
	switch {
	case b != nil && b.State != nil:
		c, err := b.State.server(s)
		if err != nil {
			return nil, err
		}
		c.Mode, c.Consumer = "", "" // a consumer would be registered
		return kinesis.Open(ctx, c, kinesis.Options{})
	case s.Source.File != nil && s.Source.File.IsStdin():
		return nil, fmt.Errorf("standard input can be read once only: %w", core.ErrInvalid)
	case b != nil && b.Node != nil:
		return r.DrySource(ctx, s, b.Node.Streams)
	case s.Source.Stream != "":
		return nil, fmt.Errorf("there is no stream %s: there is no data directory: %w", s.Source.Stream, core.ErrInvalid)
	}
	return r.DrySource(ctx, s, nil)
}
