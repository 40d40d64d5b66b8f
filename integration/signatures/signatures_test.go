package signatures

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/awsapi/sigv4"
	"github.com/penstock/penstock/integration/servers"
)

// count is how many requests each program signs: 1,000, or PENSTOCK_SIGNATURES.
func count(t *testing.T) int {
	t.Helper()
	text := os.Getenv("PENSTOCK_SIGNATURES")
	if text == "" {
		return 1000
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

type keys map[string]sigv4.Key

func (k keys) Key(access string) (sigv4.Key, bool) { key, ok := k[access]; return key, ok }

func verifier() *sigv4.Verifier {
	secret := core.NewSecret("a-secret-of-the-tests")
	return &sigv4.Verifier{Region: "us-east-1", Service: "kinesis", Keys: keys{
		"PLAIN": {AccessKey: "PLAIN", Secret: secret, Active: true},
		"TOKEN": {AccessKey: "TOKEN", Secret: secret, SessionToken: core.NewSecret("a-session-token"), Active: true},
	}}
}

// signed is a request as a program signed it.
type signed struct {
	Method, Target, Body string
	Headers              [][2]string
}

// span is a part of a request's text.
type span struct{ from, to int }

// wire is the request as it is sent, and which parts of it are signed.
func (s signed) wire() ([]byte, []span) {
	var b bytes.Buffer
	var parts []span
	covered := func(text string) {
		from := b.Len()
		b.WriteString(text)
		parts = append(parts, span{from, b.Len()})
	}
	names := []string{"authorization"}
	for _, h := range s.Headers {
		if list, ok := strings.CutPrefix(h[1], "AWS4-HMAC-SHA256 "); ok && strings.EqualFold(h[0], "Authorization") {
			_, list, _ = strings.Cut(list, "SignedHeaders=")
			list, _, _ = strings.Cut(list, ",")
			names = append(names, strings.Split(list, ";")...)
		}
	}
	covered(s.Method + " " + s.Target)
	b.WriteString(" HTTP/1.1\r\n")
	length := false
	for _, h := range s.Headers {
		length = length || strings.EqualFold(h[0], "Content-Length")
		line := h[0] + ": " + h[1]
		if slices.Contains(names, strings.ToLower(h[0])) {
			covered(line)
		} else {
			b.WriteString(line)
		}
		b.WriteString("\r\n")
	}
	if !length {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(s.Body))
	}
	b.WriteString("\r\n")
	covered(s.Body)
	return b.Bytes(), parts
}

// received is what a server makes of a request, and its body.
func received(text []byte) (*http.Request, []byte, error) {
	in := bytes.NewReader(text)
	buffered := bufio.NewReader(in)
	r, err := http.ReadRequest(buffered)
	if err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(r.Body)
	if err == nil && buffered.Buffered()+in.Len() > 0 {
		err = errors.New("more than one request")
	}
	return r, body, err
}

// same reports whether two requests say the same to a handler.
func same(a, b *http.Request) bool {
	return a.Method == b.Method && a.Host == b.Host && a.URL.EscapedPath() == b.URL.EscapedPath() &&
		reflect.DeepEqual(a.URL.Query(), b.URL.Query()) && reflect.DeepEqual(a.Header, b.Header)
}

// tampered is the request with one bit of a signed part flipped: of those that leave a request, and another one.
func tampered(rng *rand.Rand, text []byte, parts []span, r *http.Request, body []byte) (*http.Request, []byte) {
	total := 0
	for _, p := range parts {
		total += p.to - p.from
	}
	for {
		n := rng.IntN(8 * total)
		at := n / 8
		for _, p := range parts {
			if at < p.to-p.from {
				at += p.from
				break
			}
			at -= p.to - p.from
		}
		text[at] ^= 1 << (n % 8)
		bad, badBody, err := received(text)
		text[at] ^= 1 << (n % 8)
		if err == nil && (!same(r, bad) || !bytes.Equal(body, badBody)) {
			return bad, badBody
		}
	}
}

// check has a program sign requests and checks each, as it is and tampered with.
func check(t *testing.T, name, program string, args ...string) {
	t.Helper()
	n, seed := count(t), rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a repeatable test
	cmd := exec.CommandContext(t.Context(), program, slices.Insert(args, 1, strconv.FormatUint(seed, 10), strconv.Itoa(n))...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	v := verifier()
	requests, accepted, refused := 0, 0, 0
	for in := json.NewDecoder(out); ; requests++ {
		var s signed
		if err := in.Decode(&s); errors.Is(err, io.EOF) {
			break
		} else {
			require.NoError(t, err)
		}
		text, parts := s.wire()
		r, body, err := received(text)
		require.NoError(t, err, "%q", text)
		id, err := v.Verify(r, sha256.Sum256(body))
		require.NoError(t, err, "%q", text)
		require.NotEmpty(t, id.AccessKey())
		accepted++
		bad, badBody := tampered(rng, text, parts, r, body)
		id, err = v.Verify(bad, sha256.Sum256(badBody))
		require.Error(t, err, "%q", text)
		require.Equal(t, sigv4.Identity{}, id)
		refused++
	}
	require.NoError(t, cmd.Wait(), "%s", &said)
	require.Equal(t, n, requests)
	t.Logf("campaign=signatures signer=%s requests=%d accepted=%d tampered_refused=%d", name, requests, accepted, refused)
}

func TestRequestsSignedByBotocore(t *testing.T) {
	t.Parallel()
	servers.Need(t, "botocore")
	python, err := servers.Python(t.Context(), "botocore==1.43.11")
	require.NoError(t, err)
	check(t, "botocore", python, "sign.py")
}

func TestRequestsSignedByAWS4(t *testing.T) {
	t.Parallel()
	servers.Need(t, "aws4 of npm")
	folder, err := servers.Node(t.Context(), os.DirFS("aws4"))
	require.NoError(t, err)
	check(t, "aws4", "node", filepath.Join("aws4", "sign.mjs"), folder)
}
