package integration

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/minio/minio-go/v7"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/penstock/penstock/connectors"
	penstock "github.com/penstock/penstock/core"
	"github.com/penstock/penstock/integration/laketest"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/sinks/s3"
)

// TestWhatIsWrongWithABucketIsSaid runs pipelines whose bucket or credentials are wrong: they end at once, with the cure.
func TestWhatIsWrongWithABucketIsSaid(t *testing.T) {
	for _, name := range servers.S3Names() {
		t.Run(name, func(t *testing.T) {
			server := servers.S3For(t, name)
			there := bucket(t, server)
			for what, c := range map[string]struct{ bucket, key, secret, want string }{
				"no such bucket":   {"not-there", server.AccessKey, server.SecretKey, "make the bucket, or correct bucket"},
				"an unknown key":   {there, "nobody", server.SecretKey, "correct it"},
				"the wrong secret": {there, server.AccessKey, "wrong-secret-canary", "secret_key does not belong to access_key"},
			} {
				t.Run(what, func(t *testing.T) {
					u := newUser(t, "S3_SECRET="+c.secret)
					u.write(t, "in.ndjson", `{"n":1}`+"\n")
					file := u.write(t, "p.yaml", fmt.Sprintf(`version: 1
name: p
source: {file: {paths: [in.ndjson]}, decode: {json: {}}}
sink: {s3: {endpoint: %q, bucket: %s, access_key: %s, secret_key: '${S3_SECRET}'}}
`, server.Endpoint, c.bucket, c.key))
					began := time.Now()
					code, out, errOut := u.try(t, nil, "run", file)
					require.Equal(t, 3, code, errOut)
					require.Contains(t, errOut, c.want)
					require.Contains(t, errOut, c.bucket)
					require.NotContains(t, out+errOut, c.secret)
					require.Less(t, time.Since(began), 20*time.Second)
				})
			}
		})
	}
}

// TestAnArchiveSurvivesTheDeathOfItsServer kills the S3 server in the middle of an archive, more than once.
func TestAnArchiveSurvivesTheDeathOfItsServer(t *testing.T) {
	for _, name := range servers.S3Names() {
		t.Run(name, func(t *testing.T) {
			server := servers.S3For(t, name)
			u := newUser(t, "S3_SECRET="+server.SecretKey)
			want := events(t, u, 60_000)
			b := bucket(t, server)
			file := u.write(t, "p.yaml", fmt.Sprintf(`version: 1
name: p
source: {file: {paths: [events.ndjson]}, decode: {json: {}}}
buffer: {max_records: 10000}
sink: {s3: {endpoint: %q, bucket: %s, access_key: %s, secret_key: '${S3_SECRET}', prefix: 'lake/', format: {ndjson: {compression: gzip}}}}
`, server.Endpoint, b, server.AccessKey))
			cmd, err := u.start(t.Context(), "run", file)
			require.NoError(t, err)
			var said strings.Builder
			cmd.Stderr = &said
			require.NoError(t, cmd.Start())
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			for range 3 {
				time.Sleep(150 * time.Millisecond)
				server.Kill()
				time.Sleep(300 * time.Millisecond)
				require.NoError(t, server.Restart(t.Context()))
			}
			select {
			case err := <-ended:
				var exit *exec.ExitError
				if err != nil {
					require.ErrorAs(t, err, &exit)
				}
				require.NoError(t, err, said.String())
			case <-time.After(2 * time.Minute):
				_ = cmd.Process.Kill()
				t.Fatal("the run does not end", said.String())
			}
			require.Contains(t, u.run(t, "verify", file), "clean")
			found, err := objects(t.Context(), server, b)
			require.NoError(t, err)
			require.Equal(t, want, laketest.Rows(t, found))
		})
	}
}

// TestUploadsOfADeadWorkerAreSweptWhenTheyAreOld leaves multipart uploads behind. Only those that no flush can need any
// more are given up, and only those of this pipeline.
func TestUploadsOfADeadWorkerAreSweptWhenTheyAreOld(t *testing.T) {
	server := servers.S3For(t, "versitygw") // MinIO lists uploads by their whole names only
	b := bucket(t, server)
	core := minio.Core{Client: server.Client}
	begin := func(name string) {
		_, err := core.NewMultipartUpload(t.Context(), b, name, minio.PutObjectOptions{})
		require.NoError(t, err)
	}
	begin("dt=1/suite-00000000000000aa-000000000001-0.parquet")
	begin("dt=1/other-00000000000000aa-000000000001-0.parquet")
	begin("mine.bin")
	sink, err := s3.Open(t.Context(), s3Config(server, b))
	require.NoError(t, err)
	left := func() []string {
		page, err := core.ListMultipartUploads(t.Context(), b, "", "", "", "", 100)
		require.NoError(t, err)
		var out []string
		for _, u := range page.Uploads {
			out = append(out, u.Key)
		}
		slices.Sort(out)
		return out
	}
	require.NoError(t, sink.Sweep(t.Context(), "suite", time.Now().Add(-connectors.SweepAfter)))
	require.Len(t, left(), 3, "a young upload was given up")
	require.NoError(t, sink.Sweep(t.Context(), "suite", time.Now().Add(time.Hour)))
	require.Equal(t, []string{"dt=1/other-00000000000000aa-000000000001-0.parquet", "mine.bin"}, left())
}

// TestAnUploadThatWasGivenUpIsStagedAnew: a bucket's own rules give uploads up after a time, too. What is left of the
// parts cannot be sent, however often it is tried.
func TestAnUploadThatWasGivenUpIsStagedAnew(t *testing.T) {
	server := servers.S3For(t, "versitygw")
	b := bucket(t, server)
	client := minio.Core{Client: server.Client}
	cfg := s3Config(server, b)
	require.NoError(t, yaml.Unmarshal([]byte("format: {ndjson: {}}"), &cfg))
	sink, err := s3.Open(t.Context(), cfg)
	require.NoError(t, err)
	rb := array.NewRecordBuilder(memory.DefaultAllocator, penstock.SchemaOf(arrow.Field{Name: "text", Type: arrow.BinaryTypes.String}))
	defer rb.Release()
	for range 12 {
		for _, f := range rb.Fields()[:penstock.HiddenColumns] {
			f.AppendEmptyValue()
		}
		rb.Field(penstock.HiddenColumns).(*array.StringBuilder).Append(strings.Repeat("x", 1<<20))
	}
	rows := penstock.Batch{Rows: rb.NewRecord()}
	defer rows.Release()
	flush := connectors.Flush{Pipeline: "suite", Incarnation: "00000000000000aa", Number: 1, Schema: rows.Rows.Schema()}
	staged := func() (connectors.Staging, connectors.Plan) {
		st, err := sink.Stage(t.Context(), flush)
		require.NoError(t, err)
		require.NoError(t, st.Add(t.Context(), rows, &connectors.Verdicts{}))
		plan := connectors.Plan{Pipeline: flush.Pipeline, Incarnation: flush.Incarnation, Number: flush.Number}
		plan.Outputs, err = st.Outputs(t.Context())
		require.NoError(t, err)
		return st, plan
	}
	st, plan := staged()
	require.Eventually(t, func() bool {
		page, err := client.ListMultipartUploads(t.Context(), b, "", "", "", "", 100)
		if err != nil || len(page.Uploads) == 0 {
			return false
		}
		sent, err := client.ListObjectParts(t.Context(), b, page.Uploads[0].Key, page.Uploads[0].UploadID, 0, 10)
		return err == nil && len(sent.ObjectParts) == 1
	}, 30*time.Second, 10*time.Millisecond)
	require.NoError(t, sink.Sweep(t.Context(), "suite", time.Now().Add(time.Hour)))
	err = st.Publish(t.Context(), plan, nil)
	require.ErrorContains(t, err, "NoSuchUpload")
	require.True(t, connectors.IsRestage(err), err)
	require.NoError(t, st.Discard())

	st, plan = staged()
	require.NoError(t, st.Publish(t.Context(), plan, nil))
	require.NoError(t, st.Discard())
}
