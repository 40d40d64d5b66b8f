package dynamodb

import (
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/internal/awserr"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
)

// Codes that mean something to the caller.
const (
	codeCondition = "ConditionalCheckFailed"
	codeConflict  = "TransactionConflict"
	codeNotFound  = "ResourceNotFoundException"
)

// cures are the codes of errors that trying again does not cure, and what does.
var cures = awserr.Cures{ //nolint:gochecknoglobals // a table
	codeNotFound:                  "the table is not there, or is not there any more",
	"ValidationException":         "",
	"SerializationException":      "",
	"UnknownOperationException":   "the server does not have this operation",
	"AccessDeniedException":       "the credentials may not do this: allow dynamodb:DescribeTable, CreateTable, GetItem, PutItem, UpdateItem, DeleteItem, ConditionCheckItem, Query and Scan on both tables",
	"UnrecognizedClientException": "the server does not know the access key",
	"InvalidClientTokenId":        "the server does not know the access key",
	"InvalidSignatureException":   "the secret key is wrong, or this machine's clock is",
	"SignatureDoesNotMatch":       "the secret key is wrong, or this machine's clock is",
	"ExpiredTokenException":       "the credentials have expired",
	"OptInRequired":               "",
}

func throttled(code string) bool {
	switch code {
	case "ProvisionedThroughputExceededException", "ProvisionedThroughputExceeded", "ThrottlingException", "ThrottlingError", "RequestLimitExceeded", "LimitExceededException":
		return true
	}
	return false
}

// wrap says what was being done, and the cure of an error that has one.
func wrap(err error, what string) error {
	if err == nil {
		return nil
	}
	if cures.Refused(err) {
		err = cures.Permanent(err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// outcome is what an error of a commit means: control.ErrConflict, core.ErrThrottled and what is refused did not happen; of
// everything else nobody knows.
func outcome(err error) error {
	var cancelled *types.TransactionCanceledException
	if !errors.As(err, &cancelled) {
		switch c := awserr.Code(err); {
		case c == codeCondition+"Exception", c == codeConflict+"Exception":
			return fmt.Errorf("%w: %w", control.ErrConflict, err)
		case throttled(c):
			return fmt.Errorf("%w: %w", core.ErrThrottled, err)
		case cures.Refused(err):
			return err
		}
		return fmt.Errorf("%w: %w", control.ErrUnknown, err)
	}
	var codes []string
	for _, r := range cancelled.CancellationReasons {
		if c := aws.ToString(r.Code); c != "" && c != "None" {
			codes = append(codes, c)
		}
	}
	all := strings.Join(codes, ",")
	switch {
	case strings.Contains(all, codeCondition), strings.Contains(all, codeConflict):
		return fmt.Errorf("%w: %w", control.ErrConflict, err)
	case len(codes) > 0 && throttled(codes[0]):
		return fmt.Errorf("%w: %w", core.ErrThrottled, err)
	}
	return connectors.Permanent(err)
}

// crowded reports whether a transaction met another one, or a limit, so that it may be tried as it is: nothing was written.
func crowded(err error) bool {
	if errors.Is(err, core.ErrThrottled) {
		return true
	}
	var cancelled *types.TransactionCanceledException
	if !errors.As(err, &cancelled) {
		return awserr.Code(err) == codeConflict+"Exception"
	}
	met := false
	for _, r := range cancelled.CancellationReasons {
		switch aws.ToString(r.Code) {
		case codeCondition:
			return false
		case codeConflict:
			met = true
		}
	}
	return met
}
