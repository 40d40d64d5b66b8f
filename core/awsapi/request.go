package awsapi

import (
	"mime"
	"net/http"
	"strings"

	"github.com/penstock/penstock/core/awsapi/wire"
)

// Content types of the protocols.
const (
	typeJSON  = "application/x-amz-json-1.1"
	typeCBOR  = "application/x-amz-cbor-1.1"
	typeRPCv2 = "application/cbor"
	smithyRPC = "rpc-v2-cbor" // the value of the header Smithy-Protocol
)

func contentType(p wire.Protocol) string {
	return [...]string{wire.JSON: typeJSON, wire.CBOR: typeCBOR, wire.RPCv2: typeRPCv2}[p]
}

// identify finds the protocol and the operation of a request. Beside RPC v2, the path says nothing.
func (s *Server) identify(r *http.Request) (wire.Protocol, string, error) {
	if r.Method != http.MethodPost {
		return wire.JSON, "", &Error{codeUnknown, http.StatusNotFound, "Requests are sent with POST, not " + r.Method + "."}
	}
	if p := r.Header.Get("Smithy-Protocol"); p != "" {
		op, ok := strings.CutPrefix(r.URL.Path, "/service/"+s.service.Target+"/operation/")
		if p != smithyRPC || !ok {
			return wire.RPCv2, "", &Error{codeUnknown, http.StatusNotFound, "Smithy protocol " + p + " with path " + r.URL.Path + " is not known here."}
		}
		return wire.RPCv2, op, nil
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	p := wire.JSON
	switch {
	case err == nil && kind == typeCBOR:
		p = wire.CBOR
	case err == nil && (kind == typeJSON || kind == "application/json"):
	default:
		return wire.JSON, "", &Error{codeUnknown, http.StatusNotFound, "The content type has to be " + typeJSON + ", " + typeCBOR + " or that of Smithy RPC v2 CBOR."}
	}
	op, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), s.service.Target+".")
	if !ok {
		return p, "", Refuse(codeUnknown, "The header X-Amz-Target has to name an operation as %s.Operation.", s.service.Target)
	}
	return p, op, nil
}
