package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/sinks/internal/adaptive"
)

// cures are the answers that trying again does not change, with what does.
var cures = map[string]string{
	"UnrecognizedClientException":         "the server does not know access_key: correct it",
	"InvalidSignatureException":           "secret_key does not belong to access_key, or the clock is wrong: correct it",
	"MissingAuthenticationTokenException": "set access_key and secret_key, or give the AWS SDK some credentials",
	"AccessDeniedException":               "these credentials may not do this: allow dynamodb:DescribeTable, PutItem, UpdateItem, BatchWriteItem, GetItem and Query",
	"KMSAccessDeniedException":            "these credentials may not use the table's key",
	"IncompleteSignatureException":        "correct access_key and secret_key",
	"OptInRequired":                       "the account may not use DynamoDB in this region",
	"ReplicatedWriteConflictException":    "write to a region of the table that no other writes to",
	"InvalidEndpointException":            "correct endpoint",
	"SerializationException":              "endpoint is no server of DynamoDB",
	"UnknownOperationException":           "endpoint is no server of DynamoDB",
}

// codeOf is the server's name for an error; empty where it said nothing.
func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// explain adds the cure to a server's answer, and marks what no retry can change.
func explain(what, table string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	if gone := (*types.ResourceNotFoundException)(nil); errors.As(err, &gone) {
		return fmt.Errorf("%s table %s: there is none; the pipeline waits until it is made: %w", what, table, err)
	}
	err = fmt.Errorf("%s table %s: %w", what, table, err)
	if cure := cures[codeOf(err)]; cure != "" {
		return connectors.Permanent(fmt.Errorf("%w (%s)", err, cure))
	}
	return err
}

// meaning is what the answer to a write means.
func meaning(err error) adaptive.Meaning {
	if err == nil {
		return adaptive.Done
	}
	switch codeOf(err) {
	case "ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded", "Throttling", "TooManyRequestsException":
		return adaptive.Throttled
	}
	if errors.Is(err, errUnprocessed) {
		return adaptive.Throttled
	}
	if gone := (*types.ResourceNotFoundException)(nil); errors.As(err, &gone) || connectors.IsPermanent(err) || cures[codeOf(err)] != "" {
		return adaptive.Final
	}
	return adaptive.Again
}

// errUnprocessed says that the server left a part of a batch undone.
var errUnprocessed = errors.New("the table took only a part of a batch")

// errRefusedBefore is why a row is refused that the table refused an earlier worker, or an earlier try.
var errRefusedBefore = errors.New("the table refused it at an earlier try, which did not get to tell why")

// ofItem is what the server said when it refused an item for what it is, and would again.
func ofItem(err error) (code, reason string) {
	if errors.Is(err, errRefusedBefore) {
		return "dynamodb_refused", errRefusedBefore.Error()
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		return "", ""
	}
	switch api.ErrorCode() {
	case "ValidationException", "ItemCollectionSizeLimitExceededException":
		return "dynamodb_" + api.ErrorCode(), api.ErrorMessage()
	}
	var answer *awshttp.ResponseError
	if errors.As(err, &answer) && answer.HTTPStatusCode() == http.StatusRequestEntityTooLarge {
		return "dynamodb_too_large", api.ErrorMessage()
	}
	return "", ""
}
