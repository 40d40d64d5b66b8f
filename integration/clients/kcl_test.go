package clients

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/integration/servers"
)

// TestKCL has three applications of the Kinesis Client Library process a stream while it is put to and its shards are
// split and merged: one in Java that polls and one with enhanced fan-out, which have the same two workers, and one in
// Python. The server dies once and comes back. In the whole campaign a worker of each application dies in the middle, too.
func TestKCL(t *testing.T) {
	t.Parallel()
	a := newApplications(t)
	n, old := size(t)
	records := max(4000, 2*n)
	a.put(t, records/4)
	java, python := []*worker{a.java(t, "worker-1")}, a.python(t, "worker-1") // a second one would trip over new tables
	a.waitFor(t, java[0], python)
	java = append(java, a.java(t, "worker-2"))
	for limit := time.Now().Add(5 * time.Minute); !a.polling.by(t, "worker-2") || !a.fanOut.by(t, "worker-2"); {
		require.True(t, time.Now().Before(limit), "worker-2 gets no share")
		java[1].alive(t)
		a.put(t, 20)
		time.Sleep(time.Second)
	}
	a.put(t, records/4)
	dead := ""
	if old == "old" {
		dead = "worker-1"
		a.reshard(t, java[0], python)
		java, python = java[1:], a.python(t, "worker-2")
	} else {
		a.reshard(t)
	}
	a.put(t, records/4)
	a.server.Kill() // while they read
	a.server.Restart(t)
	a.put(t, records/4)
	a.waitFor(t, java[len(java)-1], python)
	for _, w := range java {
		require.Zero(t, w.end(t), w.name)
	}
	require.NoError(t, python.cmd.Process.Signal(syscall.SIGTERM)) // it does not read its standard input
	require.Equal(t, 128+int(syscall.SIGTERM), python.end(t))
	a.polling.check(t, a.at, dead)
	a.fanOut.check(t, a.at, dead)
	a.inPython.check(t, a.at, dead)
	consumers, err := a.client.ListStreamConsumers(t.Context(), &kinesis.ListStreamConsumersInput{StreamARN: aws.String(arn)})
	require.NoError(t, err)
	var names []string
	for _, c := range consumers.Consumers {
		names = append(names, *c.ConsumerName)
	}
	require.ElementsMatch(t, []string{"fan-out", "python"}, names)
}

// applications are those that process a stream, with their leases on one server.
type applications struct {
	*clicks
	jars, interpreter, leases, folder string
	polling, fanOut, inPython         processed
}

func newApplications(t *testing.T) *applications {
	t.Helper()
	servers.Need(t, "Kinesis Client Library")
	jars, err := servers.Jars(t.Context(), filepath.Join("java", "kcl", "pom.xml"))
	require.NoError(t, err)
	// The package fetches the jars of its daemon from Maven Central. Later ones want some that are not there.
	python, err := servers.Python(t.Context(), "amazon_kclpy==3.1.3", "boto3==1.43.11", "botocore==1.43.11")
	require.NoError(t, err)
	folder := t.TempDir()
	out := func(application string) processed { return processed(filepath.Join(folder, application)) }
	return &applications{newClicks(t, 4), jars, python, servers.DynamoDBFor(t).Endpoint, folder, out("polling"), out("fan-out"), out("python")}
}

// java starts a worker of both applications in Java.
func (a *applications) java(t *testing.T, name string) *worker {
	t.Helper()
	return startKCL(t, a.jars, name, a.server.Endpoint, a.leases, "clicks", name, a.folder)
}

// startKCL starts the worker in Java with arguments.
func startKCL(t *testing.T, jars, name string, args ...string) *worker {
	t.Helper()
	return startWorker(t, name, "java", append([]string{
		"-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true",
		"-Dorg.slf4j.simpleLogger.log.software.amazon.kinesis.lifecycle.ProcessTask=error", // it warns that it did not look for a shard again
		"-cp", jars, filepath.Join("java", "kcl", "Consumer.java"),
	}, args...)...)
}

// python starts a worker of the application in Python.
func (a *applications) python(t *testing.T, name string) *worker {
	t.Helper()
	return startWorker(t, name, a.interpreter, filepath.Join("python", "consumer.py"), a.server.Endpoint, a.leases, "clicks", name, string(a.inPython))
}

// waitFor waits until each application has processed all that was put, while its worker lives.
func (a *applications) waitFor(t *testing.T, java, python *worker) {
	t.Helper()
	a.polling.waitFor(t, java, a.at)
	a.fanOut.waitFor(t, java, a.at)
	a.inPython.waitFor(t, python, a.at)
}
