package control

import (
	"bytes"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/fuzztest"
	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/shardlog/local"
	"github.com/penstock/penstock/core/vfs"
)

// FuzzFold opens a store over a control log of arbitrary commands, one a line, of which the first may be trimmed.
func FuzzFold(f *testing.F) {
	txn := `{"id":"1","kind":"txn","checks":[{"key":"a","version":0}],"writes":[{"key":"a","value":"AQ=="}]}`
	f.Add([]byte(txn), false)
	f.Add([]byte(txn+"\n"+`{"id":"2","kind":"begin"}`+"\n"+`{"id":"3","kind":"rows","snapshot":"2","rows":[{"key":"a","value":"AQ==","version":2}]}`+
		"\n"+txn+"\n"+`{"id":"4","kind":"end","snapshot":"2"}`), true)
	f.Add([]byte(`{"kind":"rows"}`+"\n"+`{"kind":"end"}`+"\n"+`{"kind":"other"}`+"\n"+`[]`), false)
	f.Fuzz(fuzztest.Mutating(func(t *testing.T, text []byte, trim bool) {
		ctx := t.Context()
		e, err := local.Open(vfs.NewMem(), "/log", local.Config{Idle: time.Hour})
		require.NoError(t, err)
		defer func() { require.NoError(t, e.Close()) }()
		require.NoError(t, e.Create(ctx, "control"))
		w, _, err := e.Claim(ctx, "control", 1, "test")
		require.NoError(t, err)
		for _, line := range bytes.Split(text, []byte("\n")) {
			b := array.NewBinaryBuilder(memory.DefaultAllocator, arrow.BinaryTypes.Binary)
			b.Append(line)
			col := b.NewArray()
			rec := array.NewRecord(commandSchema, []arrow.Array{col}, 1)
			_, err := w.Append(shardlog.Anywhere, shardlog.Batch{Rows: rec, Arrival: now()}).Wait(ctx)
			require.NoError(t, err)
			rec.Release()
			col.Release()
			b.Release()
		}
		if trim {
			require.NoError(t, e.Trim(ctx, "control", 3))
		}
		s, err := Open(ctx, e, "control", "test", Config{})
		if err != nil {
			return
		}
		rows, err := s.List(ctx, "")
		require.NoError(t, err)
		for i, r := range rows {
			require.True(t, i == 0 || rows[i-1].Key < r.Key)
		}
		_, err = s.Commit(ctx, Txn{Writes: []Write{{"key", []byte("value")}}})
		require.NoError(t, err)
		require.NoError(t, s.Close())
	}))
}
