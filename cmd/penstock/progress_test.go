package main

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

func TestALiveLineIsWrittenAgainAndLinesStandAboveIt(t *testing.T) {
	var out bytes.Buffer
	a := &app{err: &out}
	p := a.newProgress()
	p.live, p.width = true, 60
	ev := p.events("")
	ev.Read(core.Batch{Shard: core.NewShardID(3), Records: 1200, Bytes: 2_000_000}, 1500*time.Millisecond)
	p.redraw(p.before.Add(time.Second))
	require.Equal(t, clearLine+"read       records=1,200 MB/s=2.0 written=0 files=0 dead=0 ", out.String(), "it is cut to the terminal's width")
	out.Reset()
	ev.Checkpoint(connectors.Plan{Number: 4, Reason: "max_age", Outputs: make([]connectors.Output, 2), Spans: []connectors.PlanSpan{{Counts: connectors.Counts{Written: 1100, Dead: 3}}}}, 70*time.Millisecond)
	require.Equal(t, clearLine+"flushed    plan=4 reason=max_age files=2 rows=1,100 dead=3 took=70ms\n"+p.shown, out.String())
	out.Reset()
	sum := p.finish()
	require.Equal(t, []int64{1200, 2_000_000, 1100, 3, 2}, []int64{sum.Records, sum.Bytes, sum.Written, sum.Dead, sum.Files})
	require.True(t, bytes.HasPrefix(out.Bytes(), []byte(clearLine+"read       records=1,200 ")), out.String())
	out.Reset()
	p.redraw(time.Now())
	require.Empty(t, out.String(), "a late tick writes nothing below the end")
}

func TestTheRateIsThatSinceTheLineBefore(t *testing.T) {
	p := (&app{err: &bytes.Buffer{}}).newProgress()
	p.events("").Read(core.Batch{Shard: core.NewShardID(0), Records: 1, Bytes: 4_000_000}, 0)
	require.Contains(t, p.line(p.before.Add(2*time.Second)), "MB/s=2.0 ")
	require.Contains(t, p.line(p.before.Add(2*time.Second)), "MB/s=0.0 ")
}

func TestTheShardsFurthestBehindAreNamed(t *testing.T) {
	p := (&app{err: &bytes.Buffer{}}).newProgress()
	ev := p.events("")
	for i := range 6 {
		ev.Read(core.Batch{Shard: core.NewShardID(i)}, time.Duration(i)*time.Second)
	}
	require.Equal(t, " lag 5:5s 4:4s 3:3s 2:2s and 2 shards more", p.lags())
	ev.Lease(core.NewShardID(5), "released")
	require.Equal(t, " lag 4:4s 3:3s 2:2s 1:1s and 1 shards more", p.lags())
}

func TestQuietShowsOnlyWhatGoesWrong(t *testing.T) {
	var out bytes.Buffer
	p := (&app{err: &out, quiet: true}).newProgress()
	ev := p.events("")
	ev.Resumed(connectors.Plan{})
	p.watch(t.Context())
	p.finish()
	require.Empty(t, out.String())
	ev.Retry("publish", 2, time.Second, errors.New("no space"))
	require.Equal(t, "retry      publish attempt=2 in=1s: no space\n", out.String())
}
