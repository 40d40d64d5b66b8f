package integration

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/integration/laketest"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/pipelines"
)

// climbing are texts that lead elsewhere where they are taken for a path, a URL or a program's text. %s is a name that
// nothing else has.
var climbing = []string{
	".", "..", "...", "./%s", "../%s", "../../%s", "../../../../../../../../tmp/%s", "/tmp/%s", "//tmp/%s", "///%s", "a/../../%s", "a/./%s", "a//%s", "%s/..", "/", "//", "a/",
	"%%2e%%2e/%s", "%%2e%%2e%%2f%s", "..%%2f%s", "%%2F%s", "%%252e%%252e%%252f%s", "..%%c0%%af%s", "%%00", "%%5c..%%5c%s",
	`..\%s`, `..\..\%s`, `\\host\%s`, `C:\%s`, "C:%s", `\`, "CON", "NUL.txt", "a.", "a ", " ", ". .", ".. /%s", "....//%s", "..;/%s",
	"\x00", "../\x00%s", "a\x00/../%s", "\n", "a\r\n../%s", "\t", "\x1b[2J%s", "\x7f", "\u0085", "\u2028",
	"．．／%s", "\u2024\u2024/%s", "\u202e..%s", "\ufeff../%s", "e\u0301", "é", "",
	"_penstock", "_penstock/tmp/%s", "_PENSTOCK", "_Penstock/tmp", "tmp", "penstock", "_", "__HIVE_DEFAULT_PARTITION__",
	"~", "~/%s", "~root/%s", "-rf", "$HOME/%s", "${HOME}", "$(touch %s)", "`touch %s`", "!{timestamp:yyyy}", "file:///tmp/%s", "http://169.254.169.254/%s", "a:b", "*", "?", "[a]", "a=b", "a&b",
	strings.Repeat("a", 128), strings.Repeat("a", 129), strings.Repeat("../", 100) + "%s", strings.Repeat("a/", 500), strings.Repeat("a", 5000), strings.Repeat("ü", 300), strings.Repeat(".", 300),
}

// traversal counts cases, and what of them lay where it must not.
type traversal struct {
	u       *user
	mark    string // the name that nothing else has
	texts   []string
	cases   int
	escapes []string
}

func newTraversal(t *testing.T) *traversal {
	t.Helper()
	x := &traversal{u: newUser(t)}
	x.mark = "canary-" + strings.ToLower(filepath.Base(filepath.Dir(x.u.dir))[len("Test"):])
	for _, form := range climbing {
		if strings.Contains(form, "%s") || strings.Contains(form, "%%") {
			form = strings.ReplaceAll(strings.ReplaceAll(form, "%s", x.mark), "%%", "%")
		}
		x.texts = append(x.texts, form)
	}
	outer := x.u.dir
	x.u.dir = filepath.Join(outer, "a", "b", "c")
	require.NoError(t, os.MkdirAll(x.u.dir, 0o700))
	for dir := x.u.dir; dir != filepath.Dir(outer); dir = filepath.Dir(dir) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "fence"), []byte("as it was"), 0o600))
	}
	return x
}

// outside is everything around some folders and files of the user's: where it is, and what.
func (x *traversal) outside(t *testing.T, but ...string) map[string]string {
	t.Helper()
	all := map[string]string{}
	inside := map[string]bool{}
	for _, name := range but {
		inside[filepath.Join(x.u.dir, name)] = true
	}
	require.NoError(t, filepath.WalkDir(filepath.Join(x.u.dir, "..", "..", ".."), func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case inside[path] && d.IsDir():
			return fs.SkipDir
		case inside[path]:
			return nil
		case !d.Type().IsRegular():
			all[path] = d.Type().String()
			return nil
		}
		text, err := os.ReadFile(path)
		all[path] = fmt.Sprintf("%x", sha256.Sum256(text))
		return err
	}))
	for _, dir := range []string{os.TempDir(), "/", ".", os.Getenv("HOME")} {
		found, err := filepath.Glob(filepath.Join(dir, "*"+x.mark+"*"))
		require.NoError(t, err)
		for _, path := range found {
			all[path] = "made"
		}
	}
	return all
}

// differs notes what is not as it was.
func (x *traversal) differs(before, after map[string]string) {
	for path, is := range after {
		if before[path] != is {
			x.escapes = append(x.escapes, path)
		}
	}
	for path := range before {
		if _, ok := after[path]; !ok {
			x.escapes = append(x.escapes, path+" is gone")
		}
	}
}

// layouts are prefixes of two keys: in folders of their own, side by side, and at the beginning of a file's name.
var layouts = []string{
	"k=!{partitionKeyFromQuery:a}/!{partitionKeyFromQuery:b}/", "!{partitionKeyFromQuery:a}!{partitionKeyFromQuery:b}/tmp/",
	"!{partitionKeyFromQuery:a}!{partitionKeyFromQuery:b}", "in/!{partitionKeyFromQuery:a}/x!{partitionKeyFromQuery:b}!{partitionKeyFromQuery:a}!{partitionKeyFromQuery:b}-",
}

// records have each text as either key, beside others, and pairs that mean something together.
func (x *traversal) records(t *testing.T) (in string, rows []string) {
	t.Helper()
	pairs := [][2]string{{"_", "penstock"}, {"_pen", "stock"}, {"_PEN", "STOCK"}, {".", "."}, {"..", "/.."}, {"", "/"}, {".", "./" + x.mark}}
	for i, a := range x.texts {
		pairs = append(pairs, [2]string{a, x.texts[(i*7+3)%len(x.texts)]})
	}
	for i, p := range pairs {
		row, err := json.Marshal(map[string]any{"n": i, "a": p[0], "b": p[1]})
		require.NoError(t, err)
		rows = append(rows, canonical(object(t, string(row))))
		in += string(row) + "\n"
	}
	return in, rows
}

// archived looks at what a pipeline wrote: all rows, in files that are where files of rows are.
func (x *traversal) archived(t *testing.T, want []string, objects map[string][]byte, file string) {
	t.Helper()
	var got []string
	for _, row := range laketest.Rows(t, objects) {
		got = append(got, canonical(object(t, row)))
	}
	requireSameRows(t, want, got)
	for name := range objects {
		if !fs.ValidPath(name) || strings.ContainsAny(name, "\\\x00\n") || strings.HasPrefix(strings.ToLower(name), "_penstock/") && !strings.HasSuffix(name, ".json") {
			x.escapes = append(x.escapes, name)
		}
	}
	report := answer[[]connectors.VerifyReport](t, x.u, "verify", file)
	require.Empty(t, report[0].Problems)
	x.cases += len(want)
}

// folders archives the records to folders.
func (x *traversal) folders(t *testing.T) {
	t.Helper()
	in, want := x.records(t)
	x.u.write(t, "in.ndjson", in)
	for i, layout := range layouts {
		name := fmt.Sprint("lake", i)
		file := x.u.write(t, name+".yaml", fmt.Sprintf("version: 1\nname: %[1]s\nsource: {file: {paths: [in.ndjson]}, decode: {json: {}}}\n"+
			"sink: {file: {path: %[1]s, prefix: '%[2]s', partition_keys: {a: a, b: b}, format: {ndjson: {}}}}\n", name, layout))
		before := x.outside(t, name, "penstock-data")
		x.u.run(t, "run", file)
		x.archived(t, want, lakeOf(t, filepath.Join(x.u.dir, name)), file)
		x.differs(before, x.outside(t, name, "penstock-data"))
	}
}

// buckets archives them to servers that keep objects in folders.
func (x *traversal) buckets(t *testing.T) {
	t.Helper()
	in, want := x.records(t)
	x.u.write(t, "in.ndjson", in)
	for _, name := range servers.S3Names() {
		server := servers.S3For(t, name)
		x.u.env = []string{"S3_SECRET=" + server.SecretKey}
		for i, layout := range layouts {
			pipeline, b := fmt.Sprint(name, i), bucket(t, server)
			file := x.u.write(t, pipeline+".yaml", fmt.Sprintf("version: 1\nname: %s\nsource: {file: {paths: [in.ndjson]}, decode: {json: {}}}\n"+
				"sink: {s3: {endpoint: %q, bucket: %s, access_key: %s, secret_key: '${S3_SECRET}', prefix: '%s', partition_keys: {a: a, b: b}, format: {ndjson: {}}}}\n",
				pipeline, server.Endpoint, b, server.AccessKey, layout))
			before := x.outside(t, "penstock-data")
			x.u.run(t, "run", file)
			found, err := objects(t.Context(), server, b)
			require.NoError(t, err)
			x.archived(t, want, found, file)
			x.differs(before, x.outside(t, "penstock-data"))
		}
	}
}

// legal are the names that streams and consumers may have.
var legal = regexp.MustCompile(`\A[a-zA-Z0-9_.-]{1,128}\z`)

// names gives streams, consumers and tags the texts as their names.
func (x *traversal) names(t *testing.T) {
	t.Helper()
	before := x.outside(t, "penstock-data")
	data := filepath.Join(x.u.dir, "penstock-data")
	n, err := pipelines.OpenNode(t.Context(), data)
	require.NoError(t, err)
	texts := append([]string{"case", "CASE", "Case"}, x.texts...)
	made := map[string]*stream.Stream{}
	for i, text := range texts {
		x.cases++
		_, err := n.Streams.Create(t.Context(), core.StreamName(text), stream.Settings{})
		if !legal.MatchString(text) {
			require.ErrorIs(t, err, core.ErrInvalid, "%q", text)
			continue
		}
		require.NoError(t, err, "%q", text)
		s, err := n.Streams.Open(t.Context(), core.StreamName(text))
		require.NoError(t, err)
		_, err = s.Put(t.Context(), []stream.Record{{Key: "k", Data: []byte(fmt.Sprint("record ", i))}})
		require.NoError(t, err)
		made[text] = s
	}
	require.Greater(t, len(made), 8)
	for i, text := range texts {
		s := made[text]
		if s == nil {
			continue
		}
		page, err := s.Page(t.Context(), core.NewShardID(0), "", 10, 1<<20)
		require.NoError(t, err)
		require.EqualValues(t, 1, page.Rows.Records, "%q has its own records", text)
		require.Equal(t, fmt.Sprint("record ", i), string(page.Rows.Rows.Column(core.HiddenColumns).(*array.Binary).Value(0)))
		page.Rows.Release()
	}
	x.belongings(t, made["."], made[".."])
	require.NoError(t, n.Streams.Delete(t.Context(), ".."))
	_, err = made["."].Info(t.Context())
	require.NoError(t, err, "one goes, the others stay")
	require.NoError(t, n.Close())
	x.generated(t, data)
	x.differs(before, x.outside(t, "penstock-data"))
}

// belongings names consumers and tags of one stream; another one has none then.
func (x *traversal) belongings(t *testing.T, s, other *stream.Stream) {
	t.Helper()
	consumers := 0
	for _, text := range x.texts {
		x.cases += 2
		_, err := s.Register(t.Context(), text, nil, 0)
		if legal.MatchString(text) && !errors.Is(err, stream.ErrLimit) {
			require.NoError(t, err, "%q", text)
			c, err := s.Consumer(t.Context(), text)
			require.NoError(t, err)
			require.Equal(t, text, c.Name)
			consumers++
		} else {
			require.Error(t, err, "%q", text)
		}
		if err := s.Tag(t.Context(), map[string]string{text: text}); err == nil {
			info, err := s.Info(t.Context())
			require.NoError(t, err)
			require.Equal(t, text, info.Tags[text])
		}
	}
	require.Greater(t, consumers, 8)
	have, err := s.Consumers(t.Context())
	require.NoError(t, err)
	require.Len(t, have, consumers)
	have, err = other.Consumers(t.Context())
	require.NoError(t, err)
	require.Empty(t, have)
	info, err := other.Info(t.Context())
	require.NoError(t, err)
	require.Empty(t, info.Tags)
}

// generated checks that nothing in a data directory is named by what users say.
func (x *traversal) generated(t *testing.T, data string) {
	t.Helper()
	form := regexp.MustCompile(`\A[A-Za-z0-9.-]+\z`)
	require.NoError(t, filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if name := d.Name(); path != data && (!form.MatchString(name) || strings.Contains(name, x.mark) || strings.Contains(name, "..") || !d.IsDir() && !d.Type().IsRegular()) {
			x.escapes = append(x.escapes, path)
		}
		return err
	}))
}

// files gives pipelines and their dead letters the texts as names.
func (x *traversal) files(t *testing.T) {
	t.Helper()
	pipelineName := regexp.MustCompile(`\A[a-z0-9][a-z0-9._-]{0,99}\z`)
	x.u.write(t, "bad.ndjson", `{"n": 1}`+"\nno JSON\n")
	quote := func(s string) string { b, _ := json.Marshal(s); return string(b) } //nolint:errchkjson // text
	good, all := map[string]bool{}, []string{}
	for i, text := range x.texts {
		for kind, ok := range map[string]bool{"name": pipelineName.MatchString(text), "dead_letter": text == "" || legal.MatchString(text)} { // without one there is a default
			x.cases++
			lines := map[string]string{"name": fmt.Sprint("p", i), "dead_letter": "dead"}
			lines[kind] = text
			file := fmt.Sprintf("%s-%d.yaml", kind, i)
			x.u.write(t, file, fmt.Sprintf("version: 1\nname: %s\ndead_letter: {stream: %s}\nsource: {file: {paths: [bad.ndjson]}, decode: {json: {}}}\nsink: {file: {path: out}}\n",
				quote(lines["name"]), quote(lines["dead_letter"])))
			good[file], all = ok, append(all, file)
		}
	}
	_, _, said := x.u.try(t, nil, append([]string{"lint"}, all...)...)
	for _, file := range all {
		require.Equal(t, good[file], !strings.Contains(said, file+":"), "%s\n%s", file, said)
		if !good[file] {
			continue
		}
		before := x.outside(t, "out", "data")
		x.u.run(t, "run", file, "--data", "data")
		x.generated(t, filepath.Join(x.u.dir, "data"))
		x.differs(before, x.outside(t, "out", "data"))
		require.NoError(t, errors.Join(os.RemoveAll(filepath.Join(x.u.dir, "out")), os.RemoveAll(filepath.Join(x.u.dir, "data"))))
	}
}

// outputs names what init and schema write.
func (x *traversal) outputs(t *testing.T) {
	t.Helper()
	const schema = "penstock.schema.json"
	for _, name := range []string{"..x.yaml", "a b.yaml", "-.yaml", "a\nb.yaml", "a\"'b.yaml", "a: b.yaml", "[[.Name]].yaml", "${HOME}.yaml", "$(touch x).yaml", "%2e%2e%2fx.yaml", `..\x.yaml`, "ü.yaml", strings.Repeat("a", 200) + ".yaml", ".yaml"} {
		x.cases++
		before := x.outside(t, name, schema)
		x.u.run(t, "init", "--", name)
		x.differs(before, x.outside(t, name, schema))
		x.u.run(t, "lint", "--", name)
		require.NoError(t, errors.Join(os.Remove(filepath.Join(x.u.dir, name)), os.Remove(filepath.Join(x.u.dir, schema))))
	}
	outer := filepath.Join(x.u.dir, "..", "fence")
	for _, link := range []string{schema, "new.yaml"} {
		for _, to := range []string{outer, filepath.Join(x.u.dir, "..", "not-there-"+x.mark)} {
			x.cases++
			require.NoError(t, os.Symlink(to, filepath.Join(x.u.dir, link)))
			before := x.outside(t, "new.yaml", schema)
			code, _, errOut := x.u.try(t, nil, "init", "new.yaml")
			require.NotZero(t, code, "%s is somebody's link: %s", link, errOut)
			x.differs(before, x.outside(t, "new.yaml", schema))
			require.NoError(t, errors.Join(os.RemoveAll(filepath.Join(x.u.dir, "new.yaml")), os.RemoveAll(filepath.Join(x.u.dir, schema))))
		}
	}
}

// links has folders of a lake be links that lead out of it.
func (x *traversal) links(t *testing.T) {
	t.Helper()
	x.u.write(t, "in.ndjson", `{"k":"a"}`+"\n")
	for i, to := range []string{"..", "../..", filepath.Join(x.u.dir, ".."), "/"} {
		x.cases++
		name := fmt.Sprint("linked", i)
		require.NoError(t, os.Mkdir(filepath.Join(x.u.dir, name), 0o700))
		require.NoError(t, os.Symlink(to, filepath.Join(x.u.dir, name, "k=a")))
		file := x.u.write(t, name+".yaml", fmt.Sprintf("version: 1\nname: %[1]s\nsource: {file: {paths: [in.ndjson]}, decode: {json: {}}}\n"+
			"sink: {file: {path: %[1]s, prefix: 'k=!{partitionKeyFromQuery:k}/', partition_keys: {k: k}, format: {ndjson: {}}}}\n", name))
		before := x.outside(t, name, "penstock-data")
		cmd, err := x.u.start(t.Context(), "run", file)
		require.NoError(t, err)
		said := &strings.Builder{}
		cmd.Stderr = said
		require.NoError(t, cmd.Start())
		require.Eventually(t, func() bool {
			_, err := os.Stat(filepath.Join(x.u.dir, name, "_penstock", "tmp"))
			return err == nil
		}, time.Minute, 20*time.Millisecond)
		wait(t, time.Second)
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait() // killed
		x.differs(before, x.outside(t, name, "penstock-data"))
	}
}

// TestNoNameLeadsOut gives what has a name, a place or a path in Penstock names that lead elsewhere. None does.
func TestNoNameLeadsOut(t *testing.T) {
	x := newTraversal(t)
	for _, part := range []func(*testing.T){x.folders, x.names, x.files, x.outputs, x.links} {
		part(t)
	}
	t.Logf("campaign=traversal cases=%d escapes=%d", x.cases, len(x.escapes))
	require.Empty(t, x.escapes)
	require.GreaterOrEqual(t, x.cases, 150)
}

func TestNoNameLeadsOutOfABucket(t *testing.T) {
	x := newTraversal(t)
	x.buckets(t)
	t.Logf("campaign=traversal-s3 cases=%d escapes=%d", x.cases, len(x.escapes))
	require.Empty(t, x.escapes)
}
