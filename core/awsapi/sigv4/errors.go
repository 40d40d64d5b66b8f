package sigv4

import "fmt"

// AWS's names of what can be wrong with a signature.
const (
	CodeMissingToken  = "MissingAuthenticationTokenException"
	CodeIncomplete    = "IncompleteSignatureException"
	CodeInvalid       = "InvalidSignatureException"
	CodeUnrecognized  = "UnrecognizedClientException"
	CodeExpired       = "ExpiredTokenException"
	messageMismatch   = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	messageToken      = "The security token included in the request is invalid."
	messageExpired    = "The security token included in the request is expired"
	messageQuery      = "Query-string authentication is not supported here: sign the 'Authorization' header."
	messageBoth       = "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."
	messageNoDate     = "Authorization header requires existence of a 'X-Amz-Date' header."
	messageHost       = "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
	messageScopeDate  = "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'."
	messageParams     = "Authorization header must be Credential, SignedHeaders and Signature, in this order and nothing else. Authorization=%s"
	messageRegion     = "Credential should be scoped to a valid region, not '%s'. "
	messageService    = "Credential should be scoped to correct service: '%s'. "
	messageTerminator = "Credential should be scoped with a valid terminator: 'aws4_request'. "
)

// Error is why a request was refused, in AWS's words where AWS has some. It holds no secret and no signature.
type Error struct{ Code, Message string }

func (e *Error) Error() string { return e.Code + ": " + e.Message }

func incomplete(format string, args ...any) error {
	return &Error{CodeIncomplete, fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) error {
	return &Error{CodeInvalid, fmt.Sprintf(format, args...)}
}

// shown is text of the client's as it may stand in a message: short, and without what would break a line.
func shown(s string) string {
	const most = 64
	out := []rune(nil)
	for _, r := range s {
		if len(out) == most {
			return string(out) + "..."
		}
		if r < ' ' || r > '~' {
			r = '?'
		}
		out = append(out, r)
	}
	return string(out)
}
