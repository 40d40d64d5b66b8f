package kms

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/penstock/penstock/core/sealing"
)

// kinds are what the service's codes mean for who asked.
var kinds = map[string]error{
	"NotFoundException":           sealing.ErrNoKey,
	"InvalidArnException":         sealing.ErrNoKey,
	"ValidationException":         sealing.ErrNoKey, // the name is all that is not ours
	"DisabledException":           sealing.ErrDisabled,
	"KMSInvalidStateException":    sealing.ErrState,
	"InvalidKeyUsageException":    sealing.ErrState,
	"InvalidCiphertextException":  sealing.ErrSealed,
	"IncorrectKeyException":       sealing.ErrSealed,
	"InvalidGrantTokenException":  sealing.ErrDenied,
	"AccessDeniedException":       sealing.ErrDenied,
	"NotAuthorizedException":      sealing.ErrDenied,
	"UnrecognizedClientException": sealing.ErrDenied,
	"InvalidClientTokenId":        sealing.ErrDenied,
	"InvalidSignatureException":   sealing.ErrDenied,
	"SignatureDoesNotMatch":       sealing.ErrDenied,
	"ExpiredTokenException":       sealing.ErrDenied,
	"OptInRequired":               sealing.ErrDenied,
	"KeyUnavailableException":     sealing.ErrUnreachable,
	"DependencyTimeoutException":  sealing.ErrUnreachable,
	"KMSInternalException":        sealing.ErrUnreachable,
}

// explain makes an error of the SDK one of package sealing.
func explain(master string, err error) error {
	var said smithy.APIError
	var answered *awshttp.ResponseError
	if !errors.As(err, &said) { // no answer, none that can be read, or no credentials to ask with
		return fmt.Errorf("key %s: %w: %w", master, sealing.ErrUnreachable, err)
	}
	kind := kinds[said.ErrorCode()]
	if _, throttled := retry.DefaultThrottleErrorCodes[said.ErrorCode()]; throttled {
		kind = sealing.ErrBusy
	}
	if kind == nil && errors.As(err, &answered) && answered.HTTPStatusCode() >= http.StatusInternalServerError {
		kind = sealing.ErrUnreachable
	}
	if kind == nil {
		return fmt.Errorf("key %s: %w", master, err)
	}
	return fmt.Errorf("key %s: %w: %s: %s", master, kind, said.ErrorCode(), said.ErrorMessage())
}
