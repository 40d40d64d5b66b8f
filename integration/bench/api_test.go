package main

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/awsapi/access"
	"github.com/penstock/penstock/core/awsapi/iam"
	"github.com/penstock/penstock/core/kinesisapi"
	"github.com/penstock/penstock/pipelines"
)

func TestJobsOfTheAPIDoTheirWork(t *testing.T) {
	c := served(t)
	for _, p := range []putting{{50, 100, 2}, {1, 100, 2}} {
		f, err := c.onNewStream(t.Context(), p.run)
		require.NoError(t, err, p)
		require.Positive(t, f.Records, p)
		require.Equal(t, f.Records*100, f.Bytes, p)
		require.Equal(t, f.Records, int64(len(f.Took)*p.each), p)
		require.LessOrEqual(t, f.percentile(50), f.percentile(99), p)
	}
	f, err := c.onNewStream(t.Context(), storedThenRead)
	require.NoError(t, err)
	require.Positive(t, f.Records)
	f, err = c.onNewStream(t.Context(), subscribing)
	require.NoError(t, err)
	require.Len(t, f.Took, subscribedRecords)
	require.Positive(t, f.Took[0])
}

func TestWhatAServerRefusesIsAnError(t *testing.T) {
	c := served(t)
	c.key.SecretAccessKey = "another"
	_, err := c.onNewStream(t.Context(), putting{1, 1, 1}.run)
	require.ErrorContains(t, err, "InvalidSignatureException")
	require.NotErrorIs(t, err, errBusy)
}

func TestRatiosAreToTheFastestOfEachRound(t *testing.T) {
	runs := func(rates ...int64) (out []callFigures) {
		for _, r := range rates {
			out = append(out, callFigures{Records: r, Wall: 1})
		}
		return out
	}
	row := apiRow{runs: [][]callFigures{runs(100, 60), runs(10, 1), runs(5, 2)}, rate: callFigures.perSecond}
	require.Equal(t, "20.0 (10.0–30.0)", row.ratio().with(1))
}

// served is a client of a server that checks signatures. Its jobs are short.
func served(t *testing.T) *apiClient {
	t.Helper()
	dir := t.TempDir()
	node, err := pipelines.OpenNode(t.Context(), dir+"/data")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, node.Close()) })
	key, err := iam.Generate(dir + "/credentials.yaml")
	require.NoError(t, err)
	keys, err := iam.Open(dir + "/credentials.yaml")
	require.NoError(t, err)
	api, err := kinesisapi.New(t.Context(), node.Streams, node.Control, kinesisapi.Config{Delay: -1})
	require.NoError(t, err)
	guard := access.New(keys, access.Config{Region: "us-east-1", Service: "kinesis", Account: "000000000000", Policy: api.Policy})
	s := httptest.NewServer(awsapi.New(api.Service(), awsapi.Config{Guard: guard}))
	t.Cleanup(s.Close)
	t.Cleanup(api.EndSubscriptions)
	c := newAPIClient(s.URL, key.AccessKey, key.Secret.Reveal())
	c.during = 200 * time.Millisecond
	return c
}
