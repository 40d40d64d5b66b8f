package kms

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/sealing"
)

// asked is what the service was asked.
type asked struct {
	operation string
	doc       struct {
		KeyId, KeySpec, CiphertextBlob, Plaintext string
		EncryptionContext                         map[string]string
	}
}

// service answers with a status and a document, and notes what it was asked.
func service(t *testing.T, status int, doc string) (*Masters, *asked, *atomic.Int64) {
	t.Helper()
	last, calls := new(asked), new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		_, last.operation, _ = strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		if err := json.NewDecoder(r.Body).Decode(&last.doc); err != nil || r.Header.Get("Authorization") == "" {
			status, doc = http.StatusTeapot, `{}`
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(doc))
	}))
	t.Cleanup(s.Close)
	return open(t, s.URL), last, calls
}

func open(t *testing.T, endpoint string) *Masters {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	m, err := New(t.Context(), endpoint, "us-east-1")
	require.NoError(t, err)
	return m
}

func TestTheServiceIsToldTheStream(t *testing.T) {
	key, blob := strings.Repeat("k", 32), "wrapped"
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	m, was, _ := service(t, http.StatusOK, fmt.Sprintf(`{"KeyId":"arn:key","Plaintext":%q,"CiphertextBlob":%q}`, b64(key), b64(blob)))
	of := map[string]string{"penstock:stream": "id-1"}

	text, w, err := m.Generate(t.Context(), "alias/one", "id-1")
	require.NoError(t, err)
	require.Equal(t, key, string(text))
	require.Equal(t, sealing.Wrapped{Master: "arn:key", Key: []byte(blob)}, w, "the key, whatever the alias means later")
	require.Equal(t, []string{"GenerateDataKey", "alias/one", "AES_256"}, []string{was.operation, was.doc.KeyId, was.doc.KeySpec})
	require.Equal(t, of, was.doc.EncryptionContext)

	_, err = m.Unwrap(t.Context(), "id-1", w)
	require.NoError(t, err)
	require.Equal(t, []string{"Decrypt", "arn:key", b64(blob)}, []string{was.operation, was.doc.KeyId, was.doc.CiphertextBlob})
	require.Equal(t, of, was.doc.EncryptionContext)

	w, err = m.Wrap(t.Context(), "alias/two", "id-1", text)
	require.NoError(t, err)
	require.Equal(t, "arn:key", w.Master)
	require.Equal(t, []string{"Encrypt", "alias/two", b64(key)}, []string{was.operation, was.doc.KeyId, was.doc.Plaintext})
	require.Equal(t, of, was.doc.EncryptionContext)
}

func TestWhatTheServiceSaysIsUnderstood(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		want   error
		calls  int64
	}{
		{400, "NotFoundException", sealing.ErrNoKey, 1},
		{400, "DisabledException", sealing.ErrDisabled, 1},
		{400, "KMSInvalidStateException", sealing.ErrState, 1},
		{400, "InvalidKeyUsageException", sealing.ErrState, 1},
		{400, "AccessDeniedException", sealing.ErrDenied, 1},
		{400, "UnrecognizedClientException", sealing.ErrDenied, 1},
		{400, "InvalidCiphertextException", sealing.ErrSealed, 1},
		{400, "IncorrectKeyException", sealing.ErrSealed, 1},
		{400, "ThrottlingException", sealing.ErrBusy, attempts},
		{500, "KMSInternalException", sealing.ErrUnreachable, attempts},
		{500, "KeyUnavailableException", sealing.ErrUnreachable, attempts},
		{503, "SomethingElse", sealing.ErrUnreachable, attempts},
	} {
		t.Run(c.code, func(t *testing.T) {
			m, _, calls := service(t, c.status, fmt.Sprintf(`{"__type":%q,"message":"because"}`, c.code))
			_, err := m.Unwrap(t.Context(), "id-1", sealing.Wrapped{Master: "alias/one", Key: []byte("x")})
			require.ErrorIs(t, err, c.want)
			require.ErrorContains(t, err, "alias/one")
			require.ErrorContains(t, err, "because")
			require.Equal(t, c.calls > 1, sealing.Brief(err), "what may pass is tried again")
			require.Equal(t, c.calls, calls.Load())
		})
	}
}

func TestAServiceThatIsNotThereIsSaid(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	endpoint := s.URL
	s.Close()
	_, _, err := open(t, endpoint).Generate(t.Context(), "alias/one", "id-1")
	require.ErrorIs(t, err, sealing.ErrUnreachable)
	m, _, _ := service(t, http.StatusOK, "<html>")
	_, _, err = m.Generate(t.Context(), "alias/one", "id-1")
	require.ErrorIs(t, err, sealing.ErrUnreachable)
}

func TestDataKeysAreNotShownOnTheWay(t *testing.T) {
	for endpoint, ok := range map[string]bool{
		"https://kms.us-east-1.amazonaws.com": true, "http://127.0.0.1:8080": true, "http://[::1]:8080": true, "http://localhost:8080": true,
		"http://kms.example": false, "http://10.0.0.1": false, "kms": false, "": false, "ftp://kms": false, "https://user:secret@kms": false, "https://kms?a=b": false,
	} {
		_, err := New(t.Context(), endpoint, "us-east-1")
		if ok {
			require.NoError(t, err, endpoint)
			continue
		}
		require.ErrorIs(t, err, core.ErrInvalid, endpoint)
		require.NotContains(t, err.Error(), "secret")
	}
}
