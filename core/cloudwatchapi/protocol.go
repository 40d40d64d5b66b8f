package cloudwatchapi

import (
	"encoding/xml"
	"errors"
	"net/http"
	"strings"

	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/awsapi/wire"
)

const (
	typeForm = "application/x-www-form-urlencoded"
	typeJSON = "application/x-amz-json-1.0"
	typeCBOR = "application/cbor"
	xmlSpace = "http://monitoring.amazonaws.com/doc/2010-08-01/"
)

// protocol is how a request and its answer are written.
type protocol int

const (
	query protocol = iota
	json
	cbor
)

func protocolOf(r *http.Request) protocol {
	switch {
	case r.Header.Get("Smithy-Protocol") != "":
		return cbor
	case r.Header.Get("X-Amz-Target") != "":
		return json
	}
	return query
}

// operation is the one that a request names outside of its body, if it does.
func (p protocol) operation(r *http.Request) (name string, said bool) {
	switch p {
	case cbor:
		return strings.TrimPrefix(r.URL.Path, "/service/"+target+"/operation/"), true
	case json:
		return strings.TrimPrefix(r.Header.Get("X-Amz-Target"), target+"."), true
	case query: // its body names it
	}
	return "", false
}

// read reads a document.
func (p protocol) read(doc []byte) (*putMetricData, error) {
	in := new(putMetricData)
	switch p {
	case cbor:
		return in, wire.Decode(wire.RPCv2, doc, in)
	case json:
		return in, wire.Decode(wire.JSON, doc, in)
	case query:
	}
	return readForm(string(doc))
}

// succeed answers that the data were taken.
func (p protocol) succeed(w http.ResponseWriter, id string) {
	switch p {
	case cbor:
		w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
	case json:
		w.Header().Set("Content-Type", typeJSON)
	case query:
		writeXML(w, http.StatusOK, &xmlSuccess{Space: xmlSpace, ID: id})
		return
	}
	w.WriteHeader(http.StatusOK)
}

type xmlSuccess struct {
	XMLName xml.Name `xml:"PutMetricDataResponse"`
	Space   string   `xml:"xmlns,attr"`
	ID      string   `xml:"ResponseMetadata>RequestId"`
}

type xmlFailure struct {
	XMLName xml.Name `xml:"ErrorResponse"`
	Space   string   `xml:"xmlns,attr"`
	Type    string   `xml:"Error>Type"`
	Code    string   `xml:"Error>Code"`
	Message string   `xml:"Error>Message"`
	ID      string   `xml:"RequestId"`
}

// fail answers what is wrong. The protocols after query have the codes of that one in a header, for clients of then.
func (p protocol) fail(w http.ResponseWriter, id string, e *awsapi.Error) {
	who := "Sender"
	if e.Status >= http.StatusInternalServerError {
		who = "Receiver"
	}
	if p == query {
		writeXML(w, e.Status, &xmlFailure{Space: xmlSpace, Type: who, Code: e.Code, Message: e.Message, ID: id})
		return
	}
	w.Header().Set("X-Amzn-Query-Error", e.Code+";"+who)
	format := wire.JSON
	w.Header().Set("Content-Type", typeJSON)
	if p == cbor {
		format = wire.RPCv2
		w.Header().Set("Content-Type", typeCBOR)
		w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
	}
	w.WriteHeader(e.Status)
	_, _ = w.Write(wire.Append(format, nil, &wire.Failure{Type: e.Code, Message: e.Message})) // the caller may be gone
}

func writeXML(w http.ResponseWriter, status int, from any) {
	b, err := xml.Marshal(from)
	if err != nil {
		panic(err) // strings always marshal
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	_, _ = w.Write(b) // the caller may be gone
}

// failureOf is what an error is to the caller. What is not one of ours is the server's own failure.
func failureOf(err error) *awsapi.Error {
	var e *awsapi.Error
	var syntax *wire.SyntaxError
	var invalid *wire.ValidationError
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &syntax):
		return awsapi.Refuse("MalformedInput", "%s", syntax.What)
	case errors.As(err, &invalid):
		return awsapi.Refuse("InvalidParameterValue", "%s", invalid)
	}
	return &awsapi.Error{Code: "InternalServiceError", Status: http.StatusInternalServerError, Message: "The request could not be processed because of an internal failure. The server's log has it under this request's id."}
}
