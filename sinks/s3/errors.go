package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/minio/minio-go/v7"

	"github.com/penstock/penstock/connectors"
)

// cures are the answers of a server that trying again does not change, with what does.
var cures = map[string]string{
	"NoSuchBucket":                 "make the bucket, or correct bucket",
	"InvalidAccessKeyId":           "the server does not know access_key: correct it",
	"XAdminUserNotFound":           "the server does not know access_key: correct it", // of versitygw
	"SignatureDoesNotMatch":        "secret_key does not belong to access_key: correct it",
	"AccessDenied":                 "these credentials may not do this: allow s3:PutObject, s3:GetObject, s3:ListBucket and s3:AbortMultipartUpload",
	"AuthorizationHeaderMalformed": "the bucket is in another region: correct region",
	"PermanentRedirect":            "the bucket is in another region: correct region, or endpoint",
	"InvalidBucketName":            "correct bucket",
	"AllAccessDisabled":            "the server has disabled this bucket",
	"KeyTooLongError":              "shorten prefix: an object's name has at most 1,024 bytes",
	"XMinioInvalidObjectName":      "the server cannot keep such a name: change prefix",
}

// explain adds the cure to a server's answer, and marks what no retry can change.
func explain(what, bucket string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) { // the server was not reached
		return fmt.Errorf("%s in bucket %s: %w", what, bucket, err)
	}
	code := answer.Code
	if code == "NoSuchKey" {
		return fmt.Errorf("%s in bucket %s: %w", what, bucket, fs.ErrNotExist)
	}
	cure, ok := cures[code]
	if !ok {
		return fmt.Errorf("%s in bucket %s: %s: %w", what, bucket, code, err)
	}
	return connectors.Permanent(fmt.Errorf("%s in bucket %s: %s: %w (%s)", what, bucket, code, err, cure))
}
