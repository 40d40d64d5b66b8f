package wire

import (
	"fmt"
	"time"
)

// Protocol is how a document is written.
type Protocol int

// The protocols of AWS's data services.
const (
	JSON  Protocol = iota // application/x-amz-json-1.1: times in seconds, blobs in base64
	CBOR                  // application/x-amz-cbor-1.1: times in milliseconds, as the Java SDK writes and reads them
	RPCv2                 // application/cbor, Smithy RPC v2 CBOR: times in seconds
)

// Failure is the document of an error, in every protocol.
type Failure struct {
	Type    string `aws:"__type,required"`
	Message string `aws:"message,required"`
}

// Time is a moment of the service, kept and written to the millisecond. The zero one is left out of documents.
type Time struct{ time.Time }

// At is a moment, cut to the millisecond.
func At(t time.Time) Time { return Time{t.Truncate(time.Millisecond).UTC()} }

// SyntaxError says that a document is not one of its protocol, or not of its shape. AWS calls it a
// SerializationException.
type SyntaxError struct{ What string }

func (e *SyntaxError) Error() string { return e.What }

func syntax(format string, args ...any) error { return &SyntaxError{fmt.Sprintf(format, args...)} }

// Limits of a document. Nothing is sized by what a client says: lengths are checked against the bytes that are there.
const (
	maxDepth      = 32 // no shape of a service is as deep
	maxViolations = 10 // AWS names no more
)

// Decode reads a document into the struct that into points to, which has to be zero. It returns a *SyntaxError, or a
// *ValidationError that names up to ten violations of the shape's constraints. Members that the shape does not have
// are skipped. Blobs may be slices of doc, or of what stands behind it up to its capacity, which is overwritten; doc has
// to stay as long as they are used.
func Decode(p Protocol, doc []byte, into any) error {
	d := decoder{}
	if p == JSON {
		d.tokens = newJSONReader(doc)
	} else {
		d.tokens = &cborReader{doc: doc, millis: p == CBOR}
	}
	if err := d.document(into); err != nil {
		return err
	}
	return d.violated()
}

// BlobRoom is how much capacity behind a document of JSON is enough for all its blobs. Without it they are allocated.
func BlobRoom(doc int) int { return doc/4*3 + 3 }

// Append writes the document of the struct that from points to, and appends it to dst.
func Append(p Protocol, dst []byte, from any) []byte {
	e := encoder{}
	if p == JSON {
		e.writer = &jsonWriter{buf: dst}
	} else {
		e.writer = &cborWriter{buf: dst, millis: p == CBOR}
	}
	return e.document(from)
}
