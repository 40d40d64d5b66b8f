package kinesis

import (
	"context"
	"time"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/internal/awserr"
	"github.com/penstock/penstock/core"
)

// Codes of the API that mean something to the caller.
const (
	codeThrottled = "ProvisionedThroughputExceededException"
	codeLimit     = "LimitExceededException"
	codeExpired   = "ExpiredIteratorException"
	codeNotFound  = "ResourceNotFoundException"
	codeInvalid   = "InvalidArgumentException"
	codeInUse     = "ResourceInUseException"
)

// cures are the codes of errors that trying again does not cure, and what does.
var cures = awserr.Cures{ //nolint:gochecknoglobals // a table
	codeNotFound:                          "there is no such stream, or it was deleted",
	codeInvalid:                           "",
	"ValidationException":                 "",
	"SerializationException":              "",
	"UnknownOperationException":           "the server does not have this operation",
	"AccessDeniedException":               "the credentials may not do this: allow kinesis:DescribeStreamSummary, ListShards, GetShardIterator, GetRecords, and for fan_out RegisterStreamConsumer, DescribeStreamConsumer, SubscribeToShard",
	"AccessDenied":                        "the credentials may not do this",
	"UnrecognizedClientException":         "the server does not know the access key",
	"InvalidClientTokenId":                "the server does not know the access key",
	"InvalidSignatureException":           "the secret key is wrong, or this machine's clock is",
	"SignatureDoesNotMatch":               "the secret key is wrong, or this machine's clock is",
	"IncompleteSignatureException":        "",
	"MissingAuthenticationTokenException": "the server wants credentials",
	"OptInRequired":                       "",
	"KMSAccessDeniedException":            "the credentials may not use the stream's key",
	"KMSDisabledException":                "the stream's key is disabled",
	"KMSNotFoundException":                "the stream's key is gone",
	"KMSOptInRequired":                    "",
}

func throttled(err error) bool {
	switch awserr.Code(err) {
	case codeThrottled, codeLimit, "ThrottlingException", "KMSThrottlingException", "RequestLimitExceeded":
		return true
	}
	return false
}

// Bounds of the wait between two tries.
const (
	firstWait = 100 * time.Millisecond
	maxWait   = 30 * time.Second
	// quietTries is how often throttling is borne before it is told: other readers of the stream cause some all the time.
	quietTries = 5
)

// tries counts the failures of one thing that is done again and again.
type tries struct {
	s    *Source
	what string
	n    int
	told bool
}

// failed waits after a failure, longer each time. It returns the error where trying again does not help.
func (t *tries) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if cures.Refused(err) || connectors.IsPermanent(err) {
		return err
	}
	wait := min(firstWait<<min(t.n, 20), maxWait)
	if throttled(err) {
		t.s.calm.refused()
		wait = min(wait, 5*time.Second)
	}
	wait = core.Jitter(wait)
	if t.n++; !throttled(err) || t.n >= quietTries {
		t.told = true
		t.s.tellRetry(t.what, t.n, wait, err)
	}
	return core.Pause(ctx, wait)
}

// done notes a success.
func (t *tries) done() {
	if t.told {
		t.s.tellRecovered(t.what)
	}
	t.n, t.told = 0, false
}

// try calls f, with a bound on its time, until it succeeds or trying again does not help.
func (s *Source) try(ctx context.Context, what string, f func(ctx context.Context) error) error {
	t := tries{s: s, what: what}
	for {
		err := bounded(ctx, f)
		if err == nil {
			t.done()
			return nil
		}
		if err := t.failed(ctx, err); err != nil {
			return err
		}
	}
}

// bounded calls f with the time that a request may take.
func bounded(ctx context.Context, f func(ctx context.Context) error) error {
	ctx, stop := context.WithTimeout(ctx, requestTime)
	defer stop()
	return f(ctx)
}

func (s *Source) tellRetry(what string, attempt int, wait time.Duration, err error) {
	if s.events.Retry != nil {
		s.events.Retry(what, attempt, wait, err)
	}
}

func (s *Source) tellRecovered(what string) {
	if s.events.Recovered != nil {
		s.events.Recovered(what)
	}
}
