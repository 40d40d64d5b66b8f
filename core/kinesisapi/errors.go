package kinesisapi

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/sealing"
	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/core/stream/limit"
)

// Codes of the service's errors.
const (
	codeArgument    = "InvalidArgumentException"
	codeNotFound    = "ResourceNotFoundException"
	codeInUse       = "ResourceInUseException"
	codeLimit       = "LimitExceededException"
	codeThroughput  = "ProvisionedThroughputExceededException"
	codeExpired     = "ExpiredIteratorException"
	codeExpiredNext = "ExpiredNextTokenException"
	codeInternal    = "InternalFailureException"
	codeValidation  = "ValidationException"
	codeNoKey       = "KMSNotFoundException"
	codeWrongKey    = "KMSInvalidStateException"
)

func invalid(format string, args ...any) error { return awsapi.Refuse(codeArgument, format, args...) }

func (a *API) noStream(name core.StreamName) error {
	return awsapi.Refuse(codeNotFound, "Stream %s under account %s not found.", name, a.cfg.Account)
}

func (a *API) noShard(shard string, name core.StreamName) error {
	return awsapi.Refuse(codeNotFound, "Shard %s in stream %s under account %s does not exist", shard, name, a.cfg.Account)
}

// busy says that an operation needs the stream to be ACTIVE.
func (a *API) busy(name core.StreamName, is stream.Status) error {
	return awsapi.Refuse(codeInUse, "Stream %s under account %s not ACTIVE, instead in state %s", name, a.cfg.Account, is)
}

// rateExceeded is what AWS says of a shard that is used too much.
func (a *API) rateExceeded(shard core.ShardID, name core.StreamName) string {
	return fmt.Sprintf("Rate exceeded for shard %s in stream %s under account %s.", shard, name, a.cfg.Account)
}

// keyCodes are what AWS calls what can be wrong with a master key.
var keyCodes = []struct {
	err  error
	code string
}{
	{sealing.ErrNoKey, codeNoKey},
	{sealing.ErrDisabled, "KMSDisabledException"},
	{sealing.ErrState, codeWrongKey},
	{sealing.ErrDenied, "KMSAccessDeniedException"},
	{sealing.ErrBusy, "KMSThrottlingException"},
	{sealing.ErrSealed, codeWrongKey},
}

// keyCode is the code of what is wrong with a master key; empty where it is something else, such as a damaged record.
func keyCode(err error) string {
	if errors.Is(err, shardlog.ErrCorrupt) {
		return ""
	}
	for _, k := range keyCodes {
		if errors.Is(err, k.err) {
			return k.code
		}
	}
	return ""
}

// explain makes an error of the store an answer, as far as it is the caller's affair.
func (a *API) explain(name core.StreamName, err error) error {
	var wrong *stream.InvalidError
	var exceeded *limit.ExceededError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exceeded):
		return awsapi.Refuse(codeThroughput, "%s", a.rateExceeded(exceeded.Shard, name))
	case errors.As(err, &wrong):
		return invalid("Request for stream %s under account %s: %s.", name, a.cfg.Account, wrong.What)
	case errors.Is(err, stream.ErrNotFound), errors.Is(err, shardlog.ErrNotFound):
		return a.noStream(name)
	case errors.Is(err, stream.ErrBusy):
		return awsapi.Refuse(codeInUse, "Stream %s under account %s is being changed.", name, a.cfg.Account)
	case errors.Is(err, stream.ErrPinned):
		return awsapi.Refuse(codeInUse, "Stream %s under account %s cannot be deleted: %s", name, a.cfg.Account, stream.ErrPinned)
	case keyCode(err) != "":
		return awsapi.Refuse(keyCode(err), "Stream %s under account %s: %s.", name, a.cfg.Account, err)
	case errors.Is(err, sealing.ErrUnreachable): // SDKs try again
		a.cfg.Log.Warn("no data key", "stream", name, "error", err)
		return &awsapi.Error{Code: codeInternal, Status: http.StatusInternalServerError, Message: fmt.Sprintf("Stream %s under account %s is encrypted, and %s.", name, a.cfg.Account, sealing.ErrUnreachable)}
	case errors.Is(err, core.ErrThrottled):
		return &awsapi.Error{Code: codeThroughput, Status: http.StatusBadRequest, Message: fmt.Sprintf("The log has no room just now; slow down. Stream %s under account %s.", name, a.cfg.Account)}
	case errors.Is(err, core.ErrInvalid):
		return invalid("Request for stream %s under account %s: %s.", name, a.cfg.Account, err)
	}
	return err
}
