package cloudwatchapi

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"

	"github.com/penstock/penstock/core/awsapi"
)

// Limits of one request. That of what is sent is AWS's.
const (
	maxSent     = 1 << 20
	maxUnpacked = 8 << 20
	maxRatio    = 100 // of what is unpacked to what was sent; a thousand data of one kind stay below
	unpackedMin = 64 << 10
	maxMetrics  = 1000
)

func tooLarge() error {
	return &awsapi.Error{Code: "RequestEntityTooLarge", Status: http.StatusRequestEntityTooLarge, Message: "A request may have at most 1 MiB as it is sent, and 8 MiB and 100 times as much unpacked."}
}

// unpackedLimit is how large a body may be once it is unpacked.
func unpackedLimit(encoding string, sent int64) int64 {
	if encoding != "gzip" {
		return sent
	}
	return min(maxUnpacked, max(unpackedMin, maxRatio*sent))
}

// unpack is the document in a body.
func unpack(encoding string, sent []byte) ([]byte, error) {
	switch encoding {
	case "", "identity":
		return sent, nil
	case "gzip":
	default:
		return nil, awsapi.Refuse("MalformedInput", "A body may be encoded with gzip, and not otherwise.")
	}
	limit := unpackedLimit(encoding, int64(len(sent)))
	z, err := gzip.NewReader(bytes.NewReader(sent))
	if err != nil {
		return nil, awsapi.Refuse("MalformedInput", "The body is not what gzip writes.")
	}
	doc, err := io.ReadAll(io.LimitReader(z, limit+1))
	if err != nil {
		return nil, awsapi.Refuse("MalformedInput", "The body is not what gzip writes.")
	}
	if int64(len(doc)) > limit {
		return nil, tooLarge()
	}
	return doc, nil
}
