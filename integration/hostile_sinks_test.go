package integration

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/integration/laketest"
	"github.com/penstock/penstock/integration/servers"
)

// toxic is what a network does to a sink.
type toxic struct {
	name  string
	make  []string // toxics of toxiproxy
	while func(p *toxiproxy.Proxy, until time.Time) error
}

func made(kind, direction, attributes string) string {
	return fmt.Sprintf(`{"name":"%[1]s-%[2]s","type":%[1]q,"stream":%[2]q,"toxicity":1,"attributes":{%[3]s}}`, kind, direction, attributes)
}

var toxics = []toxic{
	{name: "latency", make: []string{made("latency", "upstream", `"latency":400,"jitter":200`), made("latency", "downstream", `"latency":400,"jitter":200`)}},
	{name: "little bandwidth", make: []string{made("bandwidth", "upstream", `"rate":20`)}},
	{name: "slow to close", make: []string{made("slow_close", "downstream", `"delay":1000`)}},
	{name: "silence, then the end", make: []string{made("timeout", "downstream", `"timeout":300`)}},
	{name: "connections reset", make: []string{made("reset_peer", "upstream", `"timeout":50`)}},
	{name: "small packets", make: []string{made("slicer", "upstream", `"average_size":512,"size_variation":256,"delay":200`)}},
	{name: "ended after some bytes", make: []string{made("limit_data", "upstream", `"bytes":3000`)}},
	{name: "down", while: func(p *toxiproxy.Proxy, until time.Time) error {
		p.Stop()
		time.Sleep(time.Until(until))
		return restart(p)
	}},
	{name: "flapping", while: func(p *toxiproxy.Proxy, until time.Time) error {
		for time.Now().Before(until) {
			p.Stop()
			time.Sleep(150 * time.Millisecond)
			if err := restart(p); err != nil {
				return err
			}
			time.Sleep(150 * time.Millisecond)
		}
		return nil
	}},
	{name: "a black hole", make: []string{made("timeout", "upstream", `"timeout":0`), made("timeout", "downstream", `"timeout":0`)}},
}

// restart starts a proxy again, once no connection that goes out has its port.
func restart(p *toxiproxy.Proxy) (err error) {
	for range 100 {
		if err = p.Start(); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// sick is a process with two pipelines over one stream: to a bucket behind a proxy, and to a folder.
type sick struct {
	u        *user
	proxy    *toxiproxy.Proxy
	cmd      *exec.Cmd
	said     bytes.Buffer
	put      int
	want     []string
	memory   int64 // most of the process, of what was seen
	s3, file string
}

// TestASickSinkHarmsNobody puts each sickness of a network between a pipeline and its bucket, while records go on coming.
// The pipeline beside it goes on meanwhile, memory stays bounded, and once the sink is well everything is there, once.
// PENSTOCK_SICK_FOR says how long each lasts, PENSTOCK_SICK which are made, by a part of their names.
func TestASickSinkHarmsNobody(t *testing.T) {
	last := 300 * time.Millisecond
	if d, err := time.ParseDuration(os.Getenv("PENSTOCK_SICK_FOR")); err == nil {
		last = d
	}
	s := newSick(t)
	only := os.Getenv("PENSTOCK_SICK")
	for _, x := range toxics {
		if only != "" && !strings.Contains(x.name, only) {
			continue
		}
		before := s.put
		until := time.Now().Add(last)
		for _, text := range x.make {
			_, err := s.proxy.Toxics.AddToxicJson(strings.NewReader(text))
			require.NoError(t, err)
		}
		done := make(chan error, 1)
		go func() {
			if x.while == nil {
				done <- nil
				return
			}
			done <- x.while(s.proxy, until)
		}()
		for more := true; more; more = time.Now().Before(until) {
			s.puts(t, 500)
			wait(t, last/100)
		}
		require.NoError(t, <-done)
		s.through(t, "folder", x.name, 30*time.Second)
		s.proxy.Toxics.ResetToxics(context.WithoutCancel(t.Context()))
		began := time.Now()
		s.through(t, "bucket", x.name, 90*time.Second)
		t.Logf("%s: %d records came meanwhile; caught up in %s; memory %d MiB", x.name, s.put-before, time.Since(began).Round(time.Millisecond), s.memory>>20)
	}
	s.end(t)
}

const sickMemory = 128 << 20

func newSick(t *testing.T) *sick {
	t.Helper()
	server := servers.S3For(t, "versitygw")
	zerolog.SetGlobalLevel(zerolog.Disabled) // some toxics do not use the logger that they are given
	api := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	s := &sick{u: newUser(t, "S3_SECRET="+server.SecretKey)}
	s.proxy = toxiproxy.NewProxy(api, "s3", "127.0.0.1:0", strings.TrimPrefix(server.Endpoint, "http://"))
	require.NoError(t, s.proxy.Start())
	t.Cleanup(s.proxy.Stop)
	s.u.run(t, "streams", "create", "in", "--shards", "2")
	b := bucket(t, server)
	s.s3 = s.u.write(t, "bucket.yaml", fmt.Sprintf(`version: 1
name: bucket
source: {stream: in, decode: {json: {}}}
buffer: {max_records: 2000, max_age: 300ms}
sink: {s3: {endpoint: 'http://%s', bucket: %s, access_key: %s, secret_key: '${S3_SECRET}', format: {ndjson: {compression: none}}}}
`, s.proxy.Listen, b, server.AccessKey))
	s.file = s.u.write(t, "folder.yaml", `version: 1
name: folder
source: {stream: in, decode: {json: {}}}
buffer: {max_records: 2000, max_age: 300ms}
sink: {file: {path: folder, format: {ndjson: {compression: none}}}}
`)
	var err error
	s.cmd, err = s.u.start(context.WithoutCancel(t.Context()), "run", s.s3, s.file, "--memory", fmt.Sprint(sickMemory))
	require.NoError(t, err)
	s.cmd.Stderr = &s.said
	require.NoError(t, s.cmd.Start())
	require.Eventually(t, func() bool {
		_, out, _ := s.u.try(t, nil, "pipelines", "list")
		return out == "bucket\nfolder\n"
	}, 30*time.Second, 100*time.Millisecond)
	t.Cleanup(func() {
		if s.cmd.ProcessState == nil {
			_ = s.cmd.Process.Kill()
			_ = s.cmd.Wait() // it was killed
		}
		if t.Failed() {
			t.Logf("the process said:\n%.5000s", s.said.String())
		}
	})
	t.Cleanup(func() {
		if t.Failed() || s.cmd.ProcessState == nil {
			return
		}
		found, err := objects(context.WithoutCancel(t.Context()), server, b)
		require.NoError(t, err)
		requireSameRows(t, s.want, laketest.Rows(t, found))
		requireSameRows(t, s.want, laketest.Rows(t, lakeOf(t, filepath.Join(s.u.dir, "folder"))))
		t.Logf("campaign=sinks toxics=%d rows_expected=%d memory_mib=%d missing=0 extra=0", len(toxics), len(s.want), s.memory>>20)
	})
	return s
}

// puts puts n records of 1 KiB.
func (s *sick) puts(t *testing.T, n int) {
	t.Helper()
	var text bytes.Buffer
	for range n {
		line := fmt.Sprintf(`{"n":%d,"text":"%s"}`, s.put, strings.Repeat(strconv.Itoa(s.put%10), 1000))
		text.WriteString(line + "\n")
		s.want = append(s.want, line)
		s.put++
	}
	code, _, errOut := s.u.try(t, text.Bytes(), "put", "in")
	require.Zero(t, code, errOut)
	s.sample(t)
}

// through waits until a pipeline has delivered all that was put.
func (s *sick) through(t *testing.T, pipeline, while string, limit time.Duration) {
	t.Helper()
	var total connectors.Counts
	for until := time.Now().Add(limit); time.Now().Before(until); wait(t, 100*time.Millisecond) {
		total = connectors.Counts{}
		for _, p := range answer[[]connectors.Progress](t, s.u, "pipelines", "describe", pipeline) {
			total = total.Add(p.Totals)
		}
		if s.sample(t); total.Written == int64(s.put) {
			return
		}
	}
	t.Fatalf("%s: %s delivered %d of %d records in %s", while, pipeline, total.Written, s.put, limit)
}

// sample notes the most memory that the process ever had.
func (s *sick) sample(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return // not on Linux
	}
	of := func(name string) int64 {
		_, after, _ := strings.Cut(string(text), name+":")
		kb, _ := strconv.ParseInt(strings.Fields(after + " 0")[0], 10, 64)
		return kb << 10
	}
	s.memory = max(s.memory, of("VmHWM")-of("RssFile")) // the program's own text is not its memory
}

// end asks the process to end, and has what it left proven.
func (s *sick) end(t *testing.T) {
	t.Helper()
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, s.cmd.Wait(), s.said.String())
	require.LessOrEqual(t, s.memory, int64(sickMemory*11/10), "memory")
	for _, file := range []string{s.s3, s.file} {
		require.Contains(t, s.u.run(t, "verify", file), "clean")
	}
}
