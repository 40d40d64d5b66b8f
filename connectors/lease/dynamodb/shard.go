package dynamodb

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
)

// Attributes of a lease that KCL has, and its words for checkpoints that are no numbers.
const (
	attrOwner      = "leaseOwner"
	attrCounter    = "leaseCounter"
	attrCheckpoint = "checkpoint"
	attrSub        = "checkpointSubSequenceNumber"

	entityLease = "LEASE"

	trimHorizon = "TRIM_HORIZON"
	latest      = "LATEST"
	atTimestamp = "AT_TIMESTAMP"
	shardEnd    = "SHARD_END"
)

// Attributes of ours.
const (
	attrLease           = "penstockLease"
	attrLeaseVersion    = "penstockLeaseVersion"
	attrLeaseOwner      = "penstockLeaseOwner"
	attrLeaseCounter    = "penstockLeaseCounter"
	attrProgress        = "penstockProgress"
	attrProgressPacked  = "penstockProgressPacked"
	attrProgressVersion = "penstockProgressVersion"
	attrProgressOf      = "penstockProgressOf"
	attrOurCheckpoint   = "penstockCheckpoint"
	attrOurSub          = "penstockSubSequenceNumber"
)

// shardItem is a shard's item as it was last seen.
type shardItem struct {
	there    bool
	owner    string
	counter  int64
	at       extended
	lease    owned
	progress moved
}

// extended is a checkpoint as KCL has it.
type extended struct {
	number string
	sub    int64
}

// owned is the lease that was written, and with which owner and counter.
type owned struct {
	value   string // empty: the row is deleted
	version int64  // 0: none was written
	owner   string
	counter int64
}

// moved is the progress that was written, and with which checkpoint.
type moved struct {
	value   []byte
	version int64 // 0: none was written
	of      string
	at      extended
}

// saw takes in an item; a nil one is not there.
func (s *Store) saw(shard string, i item) shardItem {
	c := shardItem{
		there: i != nil, owner: textOf(i, attrOwner), counter: numberOf(i, attrCounter), at: extended{textOf(i, attrCheckpoint), numberOf(i, attrSub)},
		lease: owned{textOf(i, attrLease), numberOf(i, attrLeaseVersion), textOf(i, attrLeaseOwner), numberOf(i, attrLeaseCounter)},
		progress: moved{
			version: numberOf(i, attrProgressVersion), of: textOf(i, attrProgressOf), at: extended{textOf(i, attrOurCheckpoint), numberOf(i, attrOurSub)},
		},
	}
	var err error
	if c.progress.value, err = valueOf(i, attrProgress, attrProgressPacked); err != nil {
		c.progress.version = 0 // what cannot be read was not written by us: KCL's checkpoint stands
	}
	s.noticed(c.lease.version)
	s.noticed(c.progress.version)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[shard] = c
	return c
}

// rowPart is a row that is part of a shard's item.
type rowPart struct {
	key    string
	shard  string
	lease  bool   // or the progress
	of     string // the pipeline, its incarnation and its source
	source string
}

// The parts of keys.
const (
	leasesIn   = "leases/"
	shardsIn   = "shards/"
	leaseIn    = "/" + shardsIn // behind the source of a lease
	membersIn  = "/workers/"
	pipelineIn = "pipelines/"
)

// partOf says which part of which shard's item a row is; false where it is a row of the second table.
func (s *Store) partOf(key string) (rowPart, bool) {
	rest, ok := strings.CutPrefix(key, pipelineIn+s.pipeline+"/")
	inc, rest, cut := strings.Cut(rest, "/")
	if !ok || !cut {
		return rowPart{}, false
	}
	p := rowPart{key: key}
	at := -1
	if tail, ok := strings.CutPrefix(rest, shardsIn); ok {
		if at = strings.LastIndex(tail, "/"); at > 0 {
			p.source, p.shard = tail[:at], tail[at+1:]
		}
	} else if tail, ok := strings.CutPrefix(rest, leasesIn); ok {
		if at = strings.LastIndex(tail, leaseIn); at > 0 {
			p.source, p.shard, p.lease = tail[:at], tail[at+len(leaseIn):], true
		}
	}
	p.of = s.of(inc, p.source)
	return p, at > 0 && p.shard != "" && !strings.Contains(p.shard, "/")
}

func (s *Store) of(inc, source string) string { return s.pipeline + "/" + inc + "/" + source }

// scope is which rows a prefix may begin.
type scope struct {
	others, shards bool
	lease          bool   // leases are among those of shards
	progress       bool   // so is progress
	base           string // of the keys, with the incarnation
	of             string // begins what the progress is of
	source         string // empty: any, whose progress there is
}

func (s *Store) scopeOf(prefix string) scope {
	rest, ok := strings.CutPrefix(prefix, pipelineIn+s.pipeline+"/")
	inc, rest, cut := strings.Cut(rest, "/")
	out := scope{others: true, base: pipelineIn + s.pipeline + "/" + inc + "/", of: s.of(inc, "")}
	if !ok || !cut {
		return out // who lists more than an incarnation wants no shards
	}
	switch {
	case rest == "":
		out.shards, out.lease, out.progress = true, true, true
	case strings.HasPrefix(rest, shardsIn):
		out.others, out.shards, out.progress = false, true, true
		out.source = strings.TrimSuffix(rest[len(shardsIn):], "/")
	case strings.HasPrefix(rest, leasesIn) && strings.HasSuffix(rest, leaseIn):
		out.others, out.shards, out.lease = false, true, true
		out.source = strings.TrimSuffix(rest[len(leasesIn):], leaseIn)
	case strings.HasPrefix(rest, leasesIn) && !strings.HasSuffix(rest, membersIn):
		out.shards, out.lease = true, true
		out.source = strings.TrimSuffix(rest[len(leasesIn):], "/")
	}
	return out
}

// parts are the rows of a shard's item in the scope.
func (x scope) parts(shard string, c shardItem) (out []rowPart) {
	source := x.source
	if source == "" {
		var ok bool
		if source, ok = strings.CutPrefix(c.progress.of, x.of); !ok {
			return nil // it was never this pipeline's
		}
	}
	if x.lease {
		out = append(out, rowPart{x.base + leasesIn + source + leaseIn + shard, shard, true, x.of + source, source})
	}
	if x.progress {
		out = append(out, rowPart{x.base + shardsIn + source + "/" + shard, shard, false, x.of + source, source})
	}
	return out
}

// row is the row that a part of an item is; false where there is none.
func (s *Store) row(c shardItem, p rowPart) (control.Row, bool) {
	r := control.Row{Key: p.key}
	if p.lease {
		r.Value, r.Version = c.leaseRow()
	} else {
		r.Value, r.Version = c.progressRow(p)
	}
	return r, r.Version != 0
}

// version is the row's; 0 where there is none.
func (c shardItem) version(p rowPart) (v int64) {
	if p.lease {
		_, v = c.leaseRow()
	} else {
		_, v = c.progressRow(p)
	}
	return v
}

// leaseRow is the row of a lease. One that nobody has, and that nobody needs, is not there.
func (c shardItem) leaseRow() ([]byte, int64) {
	switch was := c.lease; {
	case !c.there:
		return nil, 0
	case was.version != 0 && was.owner == c.owner && was.counter == c.counter:
		if was.value == "" {
			return nil, 0
		}
		return []byte(was.value), was.version
	case c.owner != "": // to the policy, a row that it does not know, which moves while its owner lives
		b, err := json.Marshal(map[string]any{"kcl_owner": c.owner, "kcl_counter": c.counter})
		return must(b, err), hash(c.owner, c.counter, was.version)
	case c.at.number == shardEnd:
		return nil, 0
	default:
		var st lease.State
		_ = json.Unmarshal([]byte(was.value), &st) // of none that was written: the first epoch
		b, err := json.Marshal(lease.State{Epoch: max(1, st.Epoch), Counter: c.counter})
		return must(b, err), hash(c.owner, c.counter, was.version)
	}
}

// progressRow is the row of a shard's progress: what was written or, where KCL moved the checkpoint since, where it begins.
func (c shardItem) progressRow(p rowPart) ([]byte, int64) {
	was := c.progress
	if !c.there {
		return nil, 0
	}
	ours := was.version != 0 && was.of == p.of
	if ours && was.at == c.at {
		return was.value, was.version
	}
	if was.version != 0 && was.at == c.at { // what we wrote of another source or incarnation, and not KCL
		return nil, 0
	}
	prog := connectors.Progress{Source: p.source, Shard: core.ShardID(p.shard)}
	if ours {
		_ = json.Unmarshal(was.value, &prog) // what was written can be read
	}
	prog.OpenPlan, prog.Ended, prog.Begin = 0, c.at.number == shardEnd, nil
	if !prog.Ended {
		prog.Begin = c.at.start()
	}
	b, err := json.Marshal(prog)
	return must(b, err), hash(fmt.Sprint(c.at, p.of), was.version, 0)
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err) // structs of strings and numbers always marshal
	}
	return b
}

// hash is a version of what KCL wrote.
func hash(text string, a, b int64) int64 {
	h := fnv.New64a()
	fmt.Fprint(h, text, " ", a, " ", b)           //nolint:errcheck // a hash takes everything
	return int64(h.Sum64()&(derived-1)) | derived //nolint:gosec // 62 bits
}

// start is where KCL would begin.
func (e extended) start() *connectors.Start {
	switch e.number {
	case trimHorizon, "":
		return &connectors.Start{Kind: connectors.StartTrimHorizon}
	case latest:
		return &connectors.Start{Kind: connectors.StartLatest}
	case atTimestamp: // which its configuration has, and the lease has not
		return &connectors.Start{Kind: connectors.StartAt}
	}
	return &connectors.Start{Kind: connectors.StartAfter, After: core.SequenceNumber(e.number), Sub: &e.sub}
}
