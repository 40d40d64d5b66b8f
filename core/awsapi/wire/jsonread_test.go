package wire

import (
	"bytes"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/fuzztest"
)

// loose has no constraints, and means the same to the library of JSON.
type loose struct {
	Name    string   `aws:"Name"`
	Big     int64    `aws:"Big"`
	Yes     bool     `aws:"Yes"`
	Keys    []string `aws:"Keys"`
	Records []struct {
		Data []byte `aws:"Data"`
		Key  string `aws:"Key"`
	} `aws:"Records"`
}

// agree fails unless what is read of a document is what the library of JSON reads of it.
func agree(t *testing.T, doc []byte) {
	t.Helper()
	var ours, theirs loose
	err, theirErr := Decode(JSON, slices.Clip(bytes.Clone(doc)), &ours), json.Unmarshal(doc, &theirs)
	var wrong *SyntaxError
	if !errors.As(err, &wrong) {
		require.True(t, jsontext.Value(doc).IsValid(jsontext.AllowDuplicateNames(true)), "%q is no JSON", doc)
	}
	if theirErr != nil || strings.TrimSpace(string(doc)) == "null" {
		return
	}
	require.NotErrorAs(t, err, &wrong, "%q", doc)
	if err == nil {
		require.Equal(t, Append(CBOR, nil, &theirs), Append(CBOR, nil, &ours), "%q", doc)
	}
}

var odd = []string{
	`{"Name":"a\u0062\/\ud83d\ude00","Big":-0,"Yes":false,"Keys":["\"","\\","\\\""],"Records":[{"Data":"QUJD","Key":"é"},{"Key":"\n"}]}`,
	`{"x":{"y":1,"y":2},"x":3}`, `{"N\u0061me":"a"}`, `{"Name":"a","N\u0061me":"a"}`, `{"x":{"y":[1,{"z":null}]},"x":1}`, `{"x":"\"","y":1e5,"z":[]}`, ` { "Keys" : [ ] , "Records" : [ { } ] } `, `{"Name":null,"Keys":[null]}`,
	`{"Keys":[,]}`, `{"Keys":["a",]}`, `{"Keys":["a" "b"]}`, `{,}`, `{"Name" "a"}`, `{"Name":"a" "Big":1}`, `{"Keys":["a"}`, `{"Yes":truex}`, `{"Yes":tru}`, `{"Name":nulls}`, `{"Big":01}`, `{"Big":-}`, `{"Big":+1}`, `{"Big":1.0}`,
	"{\"Name\":\"\x01\"}", "{\"Name\":\"\xff\\n\"}", `{"Name":"\ud800"}`, `{"Name":"\x"}`, `{"Name":"\`, `{"Name":"\"`, "{\"Records\":[{\"Data\":\"QU\nJD\"}]}", `{"Records":[{"Data":"QU\nJD"}]}`, `{"Records":[{"Data":"QUI"}]}`,
	`{"Records":[{"Data":"` + strings.Repeat("QUJD", 40) + `=QUJDQUJDQUJDQUJDQUJDQUJDQUJD"}]}`, `{"Records":[{"Data":"` + strings.Repeat(`\/+A9`, 40) + `"}]}`, `{"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, "\ufeff{}", `{}x`,
}

func TestJSONIsReadAsTheLibraryReadsIt(t *testing.T) {
	for _, doc := range odd {
		agree(t, []byte(doc))
		for cut := range min(len(doc), 120) {
			agree(t, []byte(doc[:cut]))
		}
	}
}

func FuzzJSON(f *testing.F) {
	for _, doc := range odd {
		f.Add([]byte(doc))
	}
	f.Fuzz(fuzztest.Mutating(func(t *testing.T, doc []byte) { agree(t, doc) }))
}

// Blobs of every length come back, in the room behind the document and without it, and lie in no other's way.
func TestBlobsOfEveryLength(t *testing.T) {
	var in loose
	for n := range 300 {
		in.Records = append(in.Records, struct {
			Data []byte `aws:"Data"`
			Key  string `aws:"Key"`
		}{bytes.Repeat([]byte{byte(n), 0xff, byte(n >> 1)}, 100)[:n], "k"})
	}
	doc := Append(JSON, nil, &in)
	require.Contains(t, string(doc), base64.StdEncoding.EncodeToString(in.Records[299].Data))
	for _, room := range []int{0, 100, BlobRoom(len(doc))} {
		read := slices.Grow(slices.Clip(bytes.Clone(doc)), room)
		var out loose
		require.NoError(t, Decode(JSON, read, &out))
		require.Equal(t, Append(CBOR, nil, &in), Append(CBOR, nil, &out))
		require.Equal(t, doc, read)
	}
}
