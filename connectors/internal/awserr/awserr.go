// Package awserr reads the errors of AWS's APIs: which of them trying again does not cure, and what does.
package awserr

import (
	"errors"
	"fmt"

	"github.com/aws/smithy-go"

	"github.com/penstock/penstock/connectors"
)

// Code is what the API calls an error; empty where the API did not answer.
func Code(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	return ""
}

// Cures are the codes of errors that trying again does not cure, and what does; empty where the API's own words say it.
type Cures map[string]string

// Refused reports whether trying again does not help.
func (c Cures) Refused(err error) bool {
	_, ok := c[Code(err)]
	return ok
}

// Permanent is an error that ends the pipeline, with its cure.
func (c Cures) Permanent(err error) error {
	if cure := c[Code(err)]; cure != "" {
		err = fmt.Errorf("%w: %s", err, cure)
	}
	return connectors.Permanent(err)
}
