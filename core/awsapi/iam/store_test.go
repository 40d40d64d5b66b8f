package iam_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/awsapi/iam"
	"github.com/penstock/penstock/core/awsapi/sigv4"
)

const canary = "canary-of-a-secret-key" //nolint:gosec // a made-up secret of the tests

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "credentials.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

const everything = `policy: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: "*", Resource: "*"}]}`

// signedBy is the identity of who signed with a key, by way of the real check.
func signedBy(t *testing.T, s *iam.Store, access, secret string) (sigv4.Identity, error) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost/", nil)
	hash := sha256.Sum256(nil)
	cred := aws.Credentials{AccessKeyID: access, SecretAccessKey: secret}
	require.NoError(t, v4.NewSigner().SignHTTP(t.Context(), cred, r, fmt.Sprintf("%x", hash), "kinesis", "us-east-1", time.Now()))
	v := sigv4.Verifier{Region: "us-east-1", Service: "kinesis", Keys: s}
	return v.Verify(r, hash)
}

func TestFileWithEveryFormOfPolicy(t *testing.T) {
	s, err := iam.Open(write(t, `# comment
- access_key: PSTKMAPPING
  secret_key: `+canary+`1
  policy:
    Version: 2012-10-17
    Statement:
      - {Sid: put, Effect: Allow, Action: kinesis:Put*, Resource: 'arn:aws:kinesis:*:*:stream/clicks', Condition: {Null: {aws:SourceIp: false}}}
- access_key: PSTKJSON
  secret_key: `+canary+`2
  session_token: `+canary+`3
  expires: 2027-01-01T00:00:00Z
  policy: |
    {
      "Version": "2012-10-17",
      "Statement": {"Effect": "Allow", "Action": "kinesis:Get*", "Resource": "*"}
    }
- {access_key: PSTKFLOW, secret_key: 0123456789012345678, active: false, policy: {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}}
`))
	require.NoError(t, err)
	key, ok := s.Key("PSTKJSON")
	require.True(t, ok)
	require.Equal(t, canary+"2", key.Secret.Reveal())
	require.Equal(t, canary+"3", key.SessionToken.Reveal())
	require.True(t, key.Active)
	require.Equal(t, 2027, key.Expires.Year())
	key, _ = s.Key("PSTKFLOW")
	require.False(t, key.Active)
	require.Equal(t, "0123456789012345678", key.Secret.Reveal())
	_, ok = s.Key("PSTKNOBODY")
	require.False(t, ok)

	id, err := signedBy(t, s, "PSTKMAPPING", canary+"1")
	require.NoError(t, err)
	require.Equal(t, allow, iam.Evaluate(base(), s.Policy(id), nil))
	r := base()
	r.Resource = orders
	require.Equal(t, nobody, iam.Evaluate(r, s.Policy(id), nil))
	require.Nil(t, s.Policy(sigv4.Identity{}))
}

func TestAllMistakesOfAFileWithTheirPlace(t *testing.T) {
	path := write(t, `- access_key: PSTKONE
  secret_key: short
  polcy: {}
- access_key: PSTKTWO
  secret_key: `+canary+`
  active: maybe
  expires: soon
  policy: |
    {
      "Version": "2012-10-17",
      "Statement": {"Effect": "Allow", "Action": "x", "Resource": "*"}
    }
- access_key: PSTKTWO
  secret_key: [`+canary+`]
  policy: {Version: "2012-10-17", Statement: {Effect: Allow, Action: "*", Resource: "*", Condition: {IpAdress: {aws:SourceIp: 10.0.0.0/8}}}}
- just text
`)
	_, err := iam.Open(path)
	var mistakes iam.Errors
	require.ErrorAs(t, err, &mistakes)
	var got []string
	for _, line := range strings.Split(err.Error(), "\n") {
		got = append(got, strings.TrimPrefix(line, path+":"))
	}
	for i, want := range []string{
		`1:3: [0].policy: missing`,
		`2:15: [0].secret_key: want 16 to`,
		`3:3: [0]: unknown "polcy"`,
		`6:11: [1].active: want true or false`,
		`7:12: [1].expires: want a time`,
		`11:50: [1].policy.Statement.Action: "x": want an action`,
		`13:15: [2].access_key: "PSTKTWO" stands twice`,
		`14:15: [2].secret_key: want text, not a list`,
		`15:102: [2].policy.Statement.Condition: unknown operator "IpAdress"`,
		`16:3: [3]: want a mapping`,
	} {
		require.Less(t, i, len(got))
		require.True(t, strings.HasPrefix(got[i], want), "want %s, got %s", want, got[i])
	}
	require.Len(t, got, 10)
	require.NotContains(t, err.Error(), canary)
}

// TestFilesThatDoNotLoad never say a secret, whatever is wrong with the file.
func TestFilesThatDoNotLoad(t *testing.T) {
	for name, row := range map[string][2]string{
		"empty":                   {"", "the file is empty"},
		"null":                    {"~", "want a list"},
		"no keys":                 {"[]", "at least one key"},
		"a mapping":               {"access_key: x\nsecret_key: " + canary, "want a list"},
		"no YAML":                 {"- {access_key: x, secret_key: " + canary, "this is no YAML"},
		"tabs":                    {"-\taccess_key: x\n\tsecret_key: " + canary, "this is no YAML"},
		"an alias":                {"- {access_key: xxx, secret_key: *" + canary + ", " + everything + "}", "quotes"},
		"an anchor used":          {"- {access_key: xxx, secret_key: &a " + canary + ", session_token: *a, " + everything + "}", "an alias"},
		"two documents":           {"- {access_key: xxx, secret_key: " + canary + ", " + everything + "}\n---\n- x", "a second document"},
		"not UTF-8":               {"- {access_key: xxx, secret_key: " + canary + "\xff}", "not UTF-8"},
		"blank in a secret":       {"- {access_key: xxx, secret_key: " + canary + " x, " + everything + "}", "without blanks"},
		"no secret":               {"- {access_key: xxx, secret_key: , " + everything + "}", "want text, not nothing"},
		"no policy":               {"- {access_key: xxx, secret_key: " + canary + "}", "[0].policy: missing"},
		"policy of nothing":       {"- {access_key: xxx, secret_key: " + canary + ", policy: }", "want a mapping, not nothing"},
		"policy that is no JSON":  {"- {access_key: xxx, secret_key: " + canary + ", policy: allow}", "this is no JSON"},
		"policy with a principal": {"- {access_key: xxx, secret_key: " + canary + ", policy: {Statement: {Principal: '*', Effect: Allow, Action: '*', Resource: '*'}}}", `unknown "Principal"`},
		"key of strange letters":  {"- {access_key: 'x/y', secret_key: " + canary + ", " + everything + "}", "want 3 to 128"},
		"secret as access key":    {"- {access_key: '" + canary + "/+', secret_key: x, " + everything + "}", "want 3 to 128"},
		"a key twice":             {"- {access_key: xxx, secret_key: " + canary + ", secret_key: " + canary + ", " + everything + "}", "stands twice"},
		"binary":                  {"- {access_key: xxx, secret_key: !!binary " + canary + ", " + everything + "}", "a value of this kind"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := iam.Open(write(t, row[0]))
			require.ErrorContains(t, err, row[1])
			require.NotContains(t, err.Error(), canary)
		})
	}
	_, err := iam.Open(filepath.Join(t.TempDir(), "none.yaml"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = iam.Open(t.TempDir())
	require.Error(t, err)
}

func TestFileOfOthersIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes say nothing on Windows")
	}
	path := write(t, "- {access_key: xxx, secret_key: "+canary+", "+everything+"}")
	for _, mode := range []os.FileMode{0o644, 0o640, 0o604, 0o660, 0o601, 0o620} {
		require.NoError(t, os.Chmod(path, mode))
		_, err := iam.Open(path)
		require.ErrorContains(t, err, "chmod 600")
		require.NotContains(t, err.Error(), canary)
	}
	for _, mode := range []os.FileMode{0o600, 0o400} {
		require.NoError(t, os.Chmod(path, mode))
		_, err := iam.Open(path)
		require.NoError(t, err)
	}
}

func TestReloadKeepsTheOldKeysOnError(t *testing.T) {
	path := write(t, "- {access_key: old, secret_key: "+canary+", "+everything+"}")
	s, err := iam.Open(path)
	require.NoError(t, err)
	id, err := signedBy(t, s, "old", canary)
	require.NoError(t, err)

	require.NoError(t, os.WriteFile(path, []byte("- {access_key: new}"), 0o600))
	require.Error(t, s.Reload())
	_, ok := s.Key("old")
	require.True(t, ok)

	require.NoError(t, os.WriteFile(path, []byte("- {access_key: new, secret_key: "+canary+", "+everything+"}"), 0o600))
	require.NoError(t, s.Reload())
	_, ok = s.Key("old")
	require.False(t, ok)
	require.Nil(t, s.Policy(id), "a key that is gone may do nothing, even within a request")
	_, err = signedBy(t, s, "new", canary)
	require.NoError(t, err)
}

// TestExampleOfTheDocumentationLoads, and says what the page says of it.
func TestExampleOfTheDocumentationLoads(t *testing.T) {
	page, err := os.ReadFile("../../../docs/security.md")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(page), "```yaml\n")
	require.True(t, ok)
	example, _, _ := strings.Cut(rest, "```")
	s, err := iam.Open(write(t, example))
	require.NoError(t, err)
	key, ok := s.Key("PSTKPRODUCER")
	require.True(t, ok)
	id, err := signedBy(t, s, key.AccessKey, key.Secret.Reveal())
	require.NoError(t, err)
	r := base()
	r.SourceIP = netip.MustParseAddr("10.1.2.3")
	require.Equal(t, allow, iam.Evaluate(r, s.Policy(id), nil))
	require.Equal(t, deny, iam.Evaluate(base(), s.Policy(id), nil), "not from inside")
	r.Resource = orders
	require.Equal(t, nobody, iam.Evaluate(r, s.Policy(id), nil))
}
