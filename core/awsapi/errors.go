package awsapi

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/penstock/penstock/core/awsapi/wire"
)

// Error is an answer that says what is wrong with a request, or with the service.
type Error struct {
	Code    string // such as ResourceNotFoundException
	Status  int    // of HTTP
	Message string // for the caller
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Refuse returns an error that the caller can mend; HTTP status 400.
func Refuse(code, format string, args ...any) *Error {
	return &Error{Code: code, Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...)}
}

// Codes that every service has.
const (
	codeValidation    = "ValidationException"
	codeSerialization = "SerializationException"
	codeUnknown       = "UnknownOperationException"
	codeInternal      = "InternalFailureException"
	codeUnavailable   = "ServiceUnavailableException"
	codeTooLarge      = "RequestEntityTooLargeException"
)

// noRoom says that the service has no memory for a request just now.
func noRoom() error {
	return &Error{codeUnavailable, http.StatusServiceUnavailable, "Slow down: no memory is free for another request."}
}

// answer is what an error is to the caller. What is not an Error is our own failure: its words stay in the log.
func answer(err error) *Error {
	var e *Error
	var syntax *wire.SyntaxError
	var invalid *wire.ValidationError
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &syntax):
		return Refuse(codeSerialization, "%s", syntax.What)
	case errors.As(err, &invalid):
		return Refuse(codeValidation, "%s", invalid)
	}
	return &Error{codeInternal, http.StatusInternalServerError, "The request could not be processed because of an internal failure. The server's log has it under this request's id."}
}
