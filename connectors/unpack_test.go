package connectors_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/kpl/kpltest"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/transforms/csv"
	"github.com/penstock/penstock/transforms/json"
	"github.com/penstock/penstock/transforms/logline"
	"github.com/penstock/penstock/transforms/raw"
	"github.com/penstock/penstock/transforms/regex"
)

// tried is what a program makes of records: seq/ord key of each row after decoding, and of each letter its data.
func tried(t *testing.T, p *connectors.Program, in core.Batch) (rows, letters []string) {
	t.Helper()
	defer in.Release()
	trial := connectors.NewTrial("p", p)
	require.NoError(t, trial.Learn(t.Context(), in))
	dead, err := trial.Run(t.Context(), in, func(s connectors.TrialStep) {
		if s.Stage != "decode" {
			return
		}
		for i := range int(s.Rows.NumRows()) {
			rows = append(rows, fmt.Sprintf("%s/%d %s", s.Rows.SequenceOf(i), s.Rows.Ords().Value(i), s.Rows.Keys().Value(i)))
		}
	})
	require.NoError(t, err)
	for _, l := range dead {
		letters = append(letters, fmt.Sprintf("%s/%d %s %s %s", l.Seq, l.Ord, l.Key, l.Code, l.Raw))
	}
	return rows, letters
}

func samples(records ...[]byte) core.Batch {
	in := make([]connectors.Sample, len(records))
	for i, r := range records {
		in[i] = connectors.Sample{Key: fmt.Sprint("key-", i+1), Arrival: time.UnixMilli(1000), Data: r}
	}
	return connectors.Samples(in)
}

func jsonProgram(t *testing.T, u connectors.Unpacking) *connectors.Program {
	t.Helper()
	d, err := json.New(json.Config{})
	require.NoError(t, err)
	return &connectors.Program{Decoder: d, Unpack: u}
}

func TestRowsOfUserRecordsAreNumberedWithinTheirRecord(t *testing.T) {
	rows, letters := tried(t, jsonProgram(t, connectors.UnpackOwn), samples(
		[]byte(`{"a":1}{"a":2}`),
		kpltest.Pack(
			kpltest.User{Key: "x", Data: `{"a":3}`}, kpltest.User{Key: "y", Data: `[{"a":4},{"a":5}]`}, kpltest.User{Key: "bad", Data: `{"a":`},
			kpltest.User{Key: "x", Data: `{"a":6}{"a":7}`}, kpltest.User{Key: "worse", Data: `}`}, kpltest.User{Key: "z", Data: `{"a":8}`},
		),
		kpltest.Seal([]byte{9 << 3, 1}), // of no user record
		[]byte(`no`),
		[]byte(`{"a":9}`),
	))
	require.Equal(t, []string{"1/0 key-1", "1/1 key-1", "2/0 x", "2/1 y", "2/2 y", "2/4 x", "2/5 x", "2/7 z", "5/0 key-5"}, rows)
	require.Equal(t, []string{`2/3 bad bad_json {"a":`, `2/6 worse bad_json }`, `4/0 key-4 bad_json no`}, letters)
}

func TestRecordsThatOnlyLookPackedAreLikeOthers(t *testing.T) {
	damaged := kpltest.Pack(kpltest.User{Key: "x", Data: `{"a":3}`})
	damaged[len(damaged)-1] ^= 1
	_, letters := tried(t, jsonProgram(t, connectors.UnpackOwn), samples([]byte(`{"a":1}`), damaged))
	require.Equal(t, []string{"2/0 key-2 bad_json " + string(damaged)}, letters)

	_, letters = tried(t, jsonProgram(t, connectors.UnpackNone), samples([]byte(`{"a":1}`), kpltest.Pack(kpltest.User{Key: "x", Data: `{"a":3}`})))
	require.Len(t, letters, 1, "deaggregate: false leaves them as they are")
}

// TestUserRecordsOfAnotherShardArePassedOver keeps the numbers of those that stay.
func TestUserRecordsOfAnotherShardArePassedOver(t *testing.T) {
	packed := kpltest.Pack(
		kpltest.User{Key: "a", Hash: "99", Data: `{"n":0}`}, kpltest.User{Key: "b", Hash: "100", Data: `{"n":1}`}, kpltest.User{Key: "k", Data: `{"n":2}`},
		kpltest.User{Key: "c", Hash: "200", Data: `{"n":3}`}, kpltest.User{Key: "d", Hash: "201", Data: `{"n":4}`},
	)
	in := func() core.Batch {
		b := samples(packed, []byte(`{"n":5}`))
		b.Range = &core.HashRange{Start: core.HashKey{Lo: 100}, End: core.HashKey{Lo: 200}}
		return b
	}
	rows, letters := tried(t, jsonProgram(t, connectors.UnpackOwn), in())
	require.Equal(t, []string{"1/1 b", "1/3 c", "2/0 key-2"}, rows)
	require.Empty(t, letters)
	rows, _ = tried(t, jsonProgram(t, connectors.UnpackAll), in())
	require.Equal(t, []string{"1/0 a", "1/1 b", "1/2 k", "1/3 c", "1/4 d", "2/0 key-2"}, rows)
}

func TestAStartWithinARecordSkipsItsBeginning(t *testing.T) {
	in := func() core.Batch {
		return samples([]byte(`{"a":1}`), kpltest.Pack(kpltest.User{Key: "x", Data: `{"a":2}`}, kpltest.User{Key: "y", Data: `{"a":3}`}, kpltest.User{Key: "z", Data: `{"a":4}`}))
	}
	p := jsonProgram(t, connectors.UnpackOwn)
	p.Skip = connectors.Sub{Seq: "2", Index: 1}
	rows, _ := tried(t, p, in())
	require.Equal(t, []string{"1/0 key-1", "2/2 z"}, rows)
	p.Skip = connectors.Sub{Seq: "1", Index: 0} // of a record that is none that was packed
	rows, _ = tried(t, p, in())
	require.Equal(t, []string{"2/0 x", "2/1 y", "2/2 z"}, rows)
}

// TestEveryDecoderNumbersTheRowsOfUserRecords, those too that hand the records' own columns on.
func TestEveryDecoderNumbersTheRowsOfUserRecords(t *testing.T) {
	decoders := map[string]func() (connectors.Decoder, error){
		"raw":     func() (connectors.Decoder, error) { return raw.New(raw.Config{}) },
		"text":    func() (connectors.Decoder, error) { return raw.New(raw.Config{As: "text"}) },
		"regex":   func() (connectors.Decoder, error) { return regex.New(regex.Config{Pattern: "(?P<a>.*)"}) },
		"csv":     func() (connectors.Decoder, error) { return csv.New(csv.Config{}) },
		"json":    func() (connectors.Decoder, error) { return json.New(json.Config{}) },
		"logline": func() (connectors.Decoder, error) { return logline.New(logline.Config{Format: "common"}) },
	}
	line := map[string]string{"json": `{"a":1}`, "logline": `h - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 1`}
	for name, open := range decoders {
		d, err := open()
		require.NoError(t, err)
		data := line[name]
		if data == "" {
			data = "one"
		}
		users := []kpltest.User{{Key: "x", Data: data}, {Key: "y", Data: data}}
		rows, letters := tried(t, &connectors.Program{Decoder: d, Unpack: connectors.UnpackOwn}, samples(kpltest.Pack(users...), []byte(data), kpltest.Pack(users...)))
		require.Empty(t, letters, name)
		require.Equal(t, []string{"1/0 x", "1/1 y", "2/0 key-2", "3/0 x", "3/1 y"}, rows, name)
	}
}
