package rows_test

import (
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/transforms/drop"
	"github.com/penstock/penstock/transforms/hash"
	"github.com/penstock/penstock/transforms/internal/rowtest"
	"github.com/penstock/penstock/transforms/mask"
	"github.com/penstock/penstock/transforms/rename"
)

// What a column could not hold is a person's all the same.
func TestWhatWasRescuedIsHashedMaskedDroppedAndRenamedToo(t *testing.T) {
	fields := []arrow.Field{
		{Name: "ssn", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: core.RescuedColumn, Type: arrow.BinaryTypes.String, Nullable: true},
	}
	const in = `[{"ssn":"7","_rescued":null},{"_rescued":"{\"ssn\":7,\"z\":9007199254740993}"},{"_rescued":"{\"\\u0073sn\":{\"a\":1}}"},{"_rescued":"{\"other\":\"ssn\"}"}]`
	hashed, err := hash.New(hash.Config{Columns: []string{"ssn"}, Algorithm: "md5"})
	require.NoError(t, err)
	masked, err := mask.New(mask.Config{Columns: []string{"ssn"}})
	require.NoError(t, err)
	dropped, err := drop.New(drop.Config{"ssn"})
	require.NoError(t, err)
	renamed, err := rename.New(rename.Config{"ssn": "id"})
	require.NoError(t, err)
	for name, c := range map[string]struct {
		stage connectors.Transform
		want  string
	}{
		"hash": {hashed, `{"_rescued":null,"ssn":"8f14e45fceea167a5a36dedd4bea2543"}
{"_rescued":"{\"ssn\":\"8f14e45fceea167a5a36dedd4bea2543\",\"z\":9007199254740993}","ssn":null}
{"_rescued":"{\"ssn\":\"bb6cb5c68df4652941caf652a366f2d8\"}","ssn":null}
{"_rescued":"{\"other\":\"ssn\"}","ssn":null}`},
		"mask": {masked, `{"_rescued":null,"ssn":"*"}
{"_rescued":"{\"ssn\":\"*\",\"z\":9007199254740993}","ssn":null}
{"_rescued":"{\"ssn\":\"*******\"}","ssn":null}
{"_rescued":"{\"other\":\"ssn\"}","ssn":null}`},
		"drop": {dropped, `{"_rescued":null}
{"_rescued":"{\"z\":9007199254740993}"}
{"_rescued":null}
{"_rescued":"{\"other\":\"ssn\"}"}`},
		"rename": {renamed, `{"_rescued":null,"id":"7"}
{"_rescued":"{\"id\":7,\"z\":9007199254740993}","id":null}
{"_rescued":"{\"id\":{\"a\":1}}","id":null}
{"_rescued":"{\"other\":\"ssn\"}","id":null}`},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := rowtest.Batch(memory.DefaultAllocator, fields, in)
			require.NoError(t, err)
			defer b.Release()
			got, _, err := rowtest.Apply(t.Context(), c.stage, b)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}
