package encryption

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/integration/laketest"
	"github.com/penstock/penstock/integration/servers"
)

func TestWhatAKeyServiceEncryptsIsNowhereOnDisk(t *testing.T) {
	for _, name := range servers.KMSNames() {
		t.Run(name, func(t *testing.T) {
			k := servers.KMSFor(t, name)
			require.NoError(t, k.Start(t.Context()))
			id, err := k.Key(t.Context(), "alias/one")
			require.NoError(t, err)
			key, err := k.Client.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &id})
			require.NoError(t, err)
			s := serve(t, k)
			x := newStream(t, s, "clicks")
			require.Equal(t, "KMSNotFoundException", code(t, x.encrypt(t.Context(), "alias/none")))
			require.NoError(t, x.put(t.Context(), "plain-canary"))
			want := []string{"plain-canary"}
			for i, key := range []string{"alias/one", id, *key.KeyMetadata.Arn} {
				require.NoError(t, x.encrypt(t.Context(), key))
				for n := range 20 {
					want = append(want, fmt.Sprintf("secret-canary-%d-%d", i, n))
					require.NoError(t, x.put(t.Context(), want[len(want)-1]))
				}
			}
			for range 2 {
				got, err := x.get(t.Context())
				require.NoError(t, err)
				require.Equal(t, want, got)
				s.Kill()
				s.Restart(t)
			}
			require.NotEmpty(t, onDisk(t, s.Dir, "plain-canary"), "that is how it would look")
			for _, canary := range []string{"secret-canary", "key-of-secret", "canary-secret"} {
				require.Empty(t, onDisk(t, s.Dir, canary))
			}
		})
	}
}

func TestAKeyServiceGoesAwayAndComesBack(t *testing.T) {
	k := servers.KMSFor(t, "local-kms")
	dir := t.TempDir()
	lake := filepath.Join(dir, "lake")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "p.yaml"), []byte(
		"version: 1\nname: p\nsource: {stream: clicks, decode: {json: {}}}\nbuffer: {max_age: 100ms}\nsink: {file: {path: "+lake+", format: {ndjson: {}}}}\n"), 0o600))
	data := filepath.Join(dir, "data")
	command(t, dir, "streams", "create", "clicks", "--data", data)
	s := serve(t, k, "--data", data, "--pipelines", dir)
	x, plain := of(t, s, "clicks"), newStream(t, s, "plain")
	err := x.encrypt(t.Context(), "alias/one")
	require.Equal(t, "InternalFailureException", code(t, err), "it is not there yet")
	require.ErrorContains(t, err, "the key service does not answer")
	require.NoError(t, plain.put(t.Context(), "a"), "others do not need it")

	require.NoError(t, k.Start(t.Context()))
	_, err = k.Key(t.Context(), "alias/one")
	require.NoError(t, err)
	require.NoError(t, x.encrypt(t.Context(), "alias/one"))
	var want []string
	put := func(n int) (refused int) {
		for range n {
			data := fmt.Sprintf(`{"n":%d}`, len(want)+refused*1_000_000)
			if x.put(t.Context(), data) == nil {
				want = append(want, data)
			} else {
				refused++
			}
		}
		return refused
	}
	require.Zero(t, put(20))
	k.Kill()
	require.Zero(t, put(20), "the data key is open")
	got, err := x.get(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, got)

	s.Kill()
	s.Restart(t)
	require.Equal(t, 3, put(3), "it is not any more")
	err = x.put(t.Context(), "refused")
	require.Equal(t, "InternalFailureException", code(t, err))
	require.ErrorContains(t, err, "the key service does not answer")
	_, err = x.get(t.Context())
	require.Equal(t, "InternalFailureException", code(t, err))
	got, err = plain.get(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, got)

	require.NoError(t, k.Start(t.Context()))
	require.Zero(t, put(20))
	got, err = x.get(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, got, "what was acknowledged, and nothing that was refused")
	require.Eventually(t, func() bool { return len(archived(t, lake)) >= len(want) }, time.Minute, 100*time.Millisecond, "the pipeline waited for the keys")
	slices.Sort(want)
	require.Equal(t, want, archived(t, lake))
}

// hanging takes connections and never answers, as a key service behind a network that lost its packets does.
func hanging(t *testing.T) *servers.KMS {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() }) // it was not used
		}
	}()
	return &servers.KMS{Endpoint: "http://" + l.Addr().String()}
}

func TestAKeyServiceThatHangsIsNotWaitedForLong(t *testing.T) {
	s := serve(t, hanging(t))
	x, plain := newStream(t, s, "clicks"), newStream(t, s, "plain")
	said := make(chan error)
	go func() { said <- x.encrypt(context.Background(), "alias/one") }()
	for n := 0; ; n++ {
		select {
		case err := <-said:
			require.Equal(t, "InternalFailureException", code(t, err))
			require.ErrorContains(t, err, "the key service does not answer")
			require.Positive(t, n, "others go on meanwhile")
			return
		case <-time.After(50 * time.Millisecond):
			require.Less(t, n, 45*20, "longer than an operation may take")
			require.NoError(t, x.put(t.Context(), "not encrypted yet"))
			require.NoError(t, plain.put(t.Context(), "a"))
		}
	}
}

func TestAKeyThatIsDisabledIsSaid(t *testing.T) {
	k := servers.KMSFor(t, "local-kms")
	require.NoError(t, k.Start(t.Context()))
	id, err := k.Key(t.Context(), "alias/one")
	require.NoError(t, err)
	s := serve(t, k)
	x := newStream(t, s, "clicks")
	require.NoError(t, x.encrypt(t.Context(), "alias/one"))
	require.NoError(t, x.put(t.Context(), "a"))
	refused := func(as string) {
		t.Helper()
		require.Equal(t, as, code(t, x.encrypt(t.Context(), "alias/one")))
		s.Kill() // with its open data key
		s.Restart(t)
		require.Equal(t, as, code(t, x.put(t.Context(), "b")))
		_, err := x.get(t.Context())
		require.Equal(t, as, code(t, err))
	}
	_, err = k.Client.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &id})
	require.NoError(t, err)
	refused("KMSDisabledException")
	days := int32(7)
	_, err = k.Client.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: &id, PendingWindowInDays: &days})
	require.NoError(t, err)
	refused("KMSInvalidStateException")
	_, err = k.Client.CancelKeyDeletion(t.Context(), &kms.CancelKeyDeletionInput{KeyId: &id})
	require.NoError(t, err)
	_, err = k.Client.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: &id})
	require.NoError(t, err)
	require.NoError(t, x.put(t.Context(), "c"))
	got, err := x.get(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"a", "c"}, got)
}

func TestAMasterKeyIsRetired(t *testing.T) {
	k := servers.KMSFor(t, "local-kms")
	require.NoError(t, k.Start(t.Context()))
	id, err := k.Key(t.Context(), "alias/one")
	require.NoError(t, err)
	_, err = k.Key(t.Context(), "alias/two")
	require.NoError(t, err)
	s := serve(t, k, "--encryption-renew", "1s")
	x := newStream(t, s, "clicks")
	require.NoError(t, x.encrypt(t.Context(), "alias/one"))
	var mu sync.Mutex
	var want []string
	var all sync.WaitGroup
	for w := range 4 { // while data keys are made anew
		all.Go(func() {
			for n, until := 0, time.Now().Add(4*time.Second); time.Now().Before(until); n++ {
				data := fmt.Sprintf("%d-%d", w, n)
				require.NoError(t, x.put(t.Context(), data))
				mu.Lock()
				want = append(want, data)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	command(t, s.Dir, "streams", "rewrap", "clicks", "--key", "alias/two")
	_, err = k.Client.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &id})
	require.NoError(t, err)
	s.Kill()
	s.Restart(t)
	require.NoError(t, x.put(t.Context(), "last"))
	got, err := x.get(t.Context())
	require.NoError(t, err)
	want = append(want, "last")
	slices.Sort(want)
	slices.Sort(got)
	require.Equal(t, want, got)
}

// archived are the rows of a lake.
func archived(t *testing.T, lake string) []string {
	t.Helper()
	objects := map[string][]byte{}
	require.NoError(t, filepath.WalkDir(lake, func(path string, d os.DirEntry, err error) error {
		if os.IsNotExist(err) || err != nil || !d.Type().IsRegular() {
			return nil //nolint:nilerr // it may be renamed while it is looked at
		}
		name, err := filepath.Rel(lake, path)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err == nil {
			objects[filepath.ToSlash(name)] = content
		}
		return nil
	}))
	return laketest.Rows(t, objects)
}
