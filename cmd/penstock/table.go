package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/connectors/lease/dynamodb"
	"github.com/penstock/penstock/core/awsclient"
)

// tableName is what DynamoDB takes as the name of a table, with room for the name of the one beside it.
var tableName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{3,240}$`)

// tableTime is how long DynamoDB may take to answer.
const tableTime = 30 * time.Second

// tableState has the state in tables of DynamoDB: dynamodb://TABLE?region=...&endpoint=...
func tableState(ctx context.Context, u *url.URL, told away, looks bool) (open func(context.Context, string) (lease.Store, error), names func(context.Context) ([]string, error), err error) {
	const want = "want dynamodb://TABLE[?region=...&endpoint=...]"
	if !tableName.MatchString(u.Host) || u.User != nil || u.Path != "" && u.Path != "/" || u.Fragment != "" {
		return nil, nil, usage(fmt.Errorf("--state: %q is not the name of a table: %s", u.Host+u.Path, want))
	}
	said := u.Query()
	for name, values := range said {
		if name != "region" && name != "endpoint" || len(values) != 1 || values[0] == "" {
			return nil, nil, usage(fmt.Errorf("--state: %s=%s: %s", name, said.Get(name), want))
		}
	}
	endpoint := said.Get("endpoint")
	if err := awsclient.ValidateEndpoint(endpoint, "http://127.0.0.1:8000"); err != nil {
		return nil, nil, usage(fmt.Errorf("--state: %w", err))
	}
	found, err := awsclient.Identity{}.Load(ctx, said.Get("region"), endpoint)
	if err != nil {
		return nil, nil, err
	}
	if found.Region == "" {
		return nil, nil, usage(errors.New("--state: which region is the table in? Add ?region=..., or set AWS_REGION"))
	}
	client := awsdynamodb.NewFromConfig(found, func(o *awsdynamodb.Options) {
		o.Retryer = aws.NopRetryer{}
		if b, ok := o.HTTPClient.(*awshttp.BuildableClient); ok { // it has what AWS_CA_BUNDLE says
			o.HTTPClient = b.WithTimeout(tableTime)
		}
		if endpoint != "" {
			o.BaseEndpoint = &endpoint
		}
	})
	cfg := dynamodb.Config{Client: client, Table: u.Host, Unreachable: told, Looks: looks}
	open = func(ctx context.Context, pipeline string) (lease.Store, error) {
		cfg := cfg
		cfg.Pipeline = pipeline
		return dynamodb.Open(ctx, cfg)
	}
	names = func(ctx context.Context) ([]string, error) {
		name, err := dynamodb.Pipeline(ctx, cfg)
		if name == "" || err != nil {
			return nil, err
		}
		return []string{name}, nil
	}
	return open, names, nil
}
