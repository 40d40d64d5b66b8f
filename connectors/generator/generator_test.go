package generator

import (
	"encoding/json"
	"io"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
)

func drain(t *testing.T, cfg Config, after core.SequenceNumber) (data []string, last core.SequenceNumber) {
	t.Helper()
	g, err := New(cfg)
	require.NoError(t, err)
	r, err := NewSource(g).Read(t.Context(), shardID, after)
	require.NoError(t, err)
	for {
		b, err := r.Next(t.Context())
		if err != nil {
			require.ErrorIs(t, err, io.EOF)
			return data, last
		}
		col := b.Rows.Column(core.HiddenColumns).(*array.Binary)
		for i := range col.Len() {
			data = append(data, string(col.Value(i)))
		}
		last = b.SequenceOf(col.Len() - 1)
		b.Release()
	}
}

func TestEventsAreJSONAndAFunctionOfTheSeed(t *testing.T) {
	all, last := drain(t, Config{Count: 10_000, Seed: 7}, "")
	require.Len(t, all, 10_000)
	require.Equal(t, core.SequenceNumber("10000"), last)
	for _, e := range all[:100] {
		require.True(t, json.Valid([]byte(e)), e)
	}
	again, _ := drain(t, Config{Count: 10_000, Seed: 7}, "9000")
	require.Equal(t, all[9000:], again)
	other, _ := drain(t, Config{Count: 10, Seed: 8}, "")
	require.NotEqual(t, all[:10], other)
}

func TestATemplateRuns(t *testing.T) {
	got, _ := drain(t, Config{Template: `{"mail":"{{Email}}","n":{{Number 1 9}}}`, Count: 3}, "")
	require.Len(t, got, 3)
	for _, e := range got {
		require.True(t, json.Valid([]byte(e)), e)
	}
	_, err := New(Config{Template: `{{NoSuchFunction}}`})
	require.ErrorIs(t, err, core.ErrInvalid)
	_, err = New(Config{Template: `clickstrem`})
	require.ErrorIs(t, err, core.ErrInvalid)
}

func TestRates(t *testing.T) {
	var r Rate
	require.NoError(t, r.UnmarshalText([]byte("10000/s")))
	require.Equal(t, Rate(10_000), r)
	for _, bad := range []string{"", "0/s", "-1/s", "fast", "1/m"} {
		require.ErrorIs(t, r.UnmarshalText([]byte(bad)), core.ErrInvalid, bad)
	}
}
