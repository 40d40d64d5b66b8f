package controlapi

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/awsapi/wire"
	"github.com/penstock/penstock/core/control"
)

// ErrRefused says that the server does not let this worker at a pipeline's rows, or does not know the service. No retry
// cures it.
var ErrRefused = errors.New("the server refuses")

// ClientConfig says where a server is and who asks.
type ClientConfig struct {
	Endpoint    string // such as https://penstock.example:4567
	Region      string
	Credentials aws.CredentialsProvider // nil: requests are not signed
	HTTP        *http.Client            // nil: http.DefaultClient
	// Unreachable is told of each try that failed and will be made again. May be nil.
	Unreachable func(attempt int, wait time.Duration, err error)
}

// FindConfig is how a server is reached with the credentials, region and certificates that AWS's SDKs find.
func FindConfig(ctx context.Context, endpoint string) (ClientConfig, error) {
	found, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return ClientConfig{}, fmt.Errorf("find AWS credentials: %w", err)
	}
	cfg := ClientConfig{
		Endpoint: endpoint, Region: cmp.Or(found.Region, "us-east-1"), Credentials: aws.NewCredentialsCache(found.Credentials), HTTP: &http.Client{Timeout: answerWithin},
	}
	if b, ok := found.HTTPClient.(interface{ GetTransport() *http.Transport }); ok { // it has what AWS_CA_BUNDLE says
		cfg.HTTP.Transport = b.GetTransport()
	}
	return cfg, nil
}

// Client is the rows of one pipeline in a server's control store. Its methods mean what those of control.Store do. While
// the server cannot be reached, reading waits for it, and a commit's outcome is unknown. It is safe for concurrent use.
type Client struct {
	cfg      ClientConfig
	pipeline string
	signer   *v4.Signer
}

// NewClient returns a client for the rows of a pipeline. It asks nothing of the server.
func NewClient(cfg ClientConfig, pipeline string) *Client {
	if cfg.HTTP == nil {
		cfg.HTTP = http.DefaultClient
	}
	if cfg.Unreachable == nil {
		cfg.Unreachable = func(int, time.Duration, error) {}
	}
	cfg.Endpoint = strings.TrimSuffix(cfg.Endpoint, "/")
	return &Client{cfg: cfg, pipeline: pipeline, signer: v4.NewSigner()}
}

// Get reads a row; false if there is none.
func (c *Client) Get(ctx context.Context, key string) (control.Row, bool, error) {
	var out getOutput
	if err := c.ask(ctx, "GetRow", &getInput{c.pipeline, key}, &out); err != nil {
		return control.Row{}, false, fmt.Errorf("read row %s: %w", key, err)
	}
	if out.Row == nil {
		return control.Row{}, false, nil
	}
	return control.Row(*out.Row), true, nil
}

// List reads the rows whose keys begin with prefix, in order of their keys. Many of them are read in several requests,
// between which rows can change.
func (c *Client) List(ctx context.Context, prefix string) ([]control.Row, error) {
	var all []control.Row
	after := ""
	for {
		var out listOutput
		if err := c.ask(ctx, "ListRows", &listInput{c.pipeline, prefix, after}, &out); err != nil {
			return nil, fmt.Errorf("list rows %s: %w", prefix, err)
		}
		for _, r := range out.Rows {
			all = append(all, control.Row(r))
			after = r.Key
		}
		if !out.More || len(out.Rows) == 0 {
			return all, nil
		}
	}
}

// Pipelines names the pipelines that the server has the rows of. Its policy has to allow it for all of them.
func (c *Client) Pipelines(ctx context.Context) ([]string, error) {
	var all []string
	after := ""
	for {
		var out pipelinesOutput
		if err := c.ask(ctx, "ListPipelines", &pipelinesInput{after}, &out); err != nil {
			return nil, fmt.Errorf("list pipelines: %w", err)
		}
		all = append(all, out.Pipelines...)
		if !out.More || len(out.Pipelines) == 0 {
			return all, nil
		}
		after = all[len(all)-1]
	}
}

// Commit makes t happen and returns the version of the rows it wrote. Errors mean what those of control.Store.Commit do.
func (c *Client) Commit(ctx context.Context, t control.Txn) (int64, error) {
	in := commitInput{Pipeline: c.pipeline, Checks: make([]check, len(t.Checks)), Writes: make([]write, len(t.Writes))}
	for i, k := range t.Checks {
		in.Checks[i] = check(k)
	}
	for i, w := range t.Writes {
		in.Writes[i] = write{w.Key, w.Value, w.Value == nil}
	}
	var out commitOutput
	said, err := c.call(ctx, "CommitRows", &in, &out)
	switch {
	case said == codeConflict:
		return 0, fmt.Errorf("%w: %w", control.ErrConflict, err)
	case err == nil, errors.Is(err, ErrRefused):
		return out.Version, err
	}
	return 0, fmt.Errorf("%w: %w", control.ErrUnknown, err)
}

// Bounds of the wait between two tries.
const (
	firstWait = 50 * time.Millisecond
	maxWait   = 5 * time.Second
)

// ask calls an operation that changes nothing, until it is answered, refused, or ctx ends.
func (c *Client) ask(ctx context.Context, operation string, in, out any) error {
	return core.Asking{First: firstWait, Most: maxWait, Told: c.cfg.Unreachable, Final: func(err error) bool { return errors.Is(err, ErrRefused) }}.
		Ask(ctx, func() error {
			_, err := c.call(ctx, operation, in, out)
			return err
		})
}

// answerWithin is how long one answer may take; it is longer than the server's own limit.
const answerWithin = time.Minute

// maxDoc bounds the document of an answer: a page, and a row more.
const maxDoc = 64 << 20

// call sends one request. said is the code of the error that the server answered with; empty if it did not answer.
func (c *Client) call(ctx context.Context, operation string, in, out any) (said string, err error) {
	ctx, stop := context.WithTimeout(ctx, answerWithin)
	defer stop()
	doc := wire.Append(wire.RPCv2, nil, in)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.cfg.Endpoint+"/service/"+Target+"/operation/"+operation, bytes.NewReader(doc))
	if err != nil {
		return "", fmt.Errorf("endpoint %s: %w: %w", c.cfg.Endpoint, ErrRefused, err)
	}
	r.Header.Set("Content-Type", "application/cbor")
	r.Header.Set("Smithy-Protocol", "rpc-v2-cbor")
	if err := c.sign(ctx, r, doc); err != nil {
		return "", err
	}
	answer, err := c.cfg.HTTP.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close() //nolint:errcheck // it was read
	doc, err = io.ReadAll(io.LimitReader(answer.Body, maxDoc))
	if err != nil {
		return "", err
	}
	if answer.StatusCode == http.StatusOK {
		return "", wire.Decode(wire.RPCv2, doc, out)
	}
	var f wire.Failure
	if err := wire.Decode(wire.RPCv2, doc, &f); err != nil || f.Type == "" {
		return "", fmt.Errorf("%s answered %s", c.cfg.Endpoint, answer.Status)
	}
	err = fmt.Errorf("%s: %s: %s", c.cfg.Endpoint, f.Type, f.Message)
	if answer.StatusCode < http.StatusInternalServerError && f.Type != codeConflict {
		err = fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return f.Type, err
}

// sign signs a request as clients of AWS do.
func (c *Client) sign(ctx context.Context, r *http.Request, doc []byte) error {
	if c.cfg.Credentials == nil {
		return nil
	}
	keys, err := c.cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return fmt.Errorf("%w: no credentials: %w", ErrRefused, err)
	}
	sum := sha256.Sum256(doc)
	return c.signer.SignHTTP(ctx, keys, r, hex.EncodeToString(sum[:]), Name, c.cfg.Region, time.Now())
}
