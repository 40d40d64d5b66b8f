package main

import (
	"github.com/penstock/penstock/pipelines"
	"github.com/penstock/penstock/sinks/dynamodb"
	"github.com/penstock/penstock/sinks/file"
	"github.com/penstock/penstock/sinks/postgres"
	"github.com/penstock/penstock/sinks/s3"
	"github.com/penstock/penstock/transforms/cast"
	"github.com/penstock/penstock/transforms/compute"
	"github.com/penstock/penstock/transforms/csv"
	"github.com/penstock/penstock/transforms/drop"
	"github.com/penstock/penstock/transforms/filter"
	"github.com/penstock/penstock/transforms/flatten"
	"github.com/penstock/penstock/transforms/hash"
	"github.com/penstock/penstock/transforms/json"
	"github.com/penstock/penstock/transforms/keep"
	"github.com/penstock/penstock/transforms/logline"
	"github.com/penstock/penstock/transforms/mask"
	"github.com/penstock/penstock/transforms/parsetimestamp"
	"github.com/penstock/penstock/transforms/raw"
	"github.com/penstock/penstock/transforms/regex"
	"github.com/penstock/penstock/transforms/rename"

	"github.com/penstock/penstock/connectors"
)

// registry is everything that a pipeline of this binary can be made of.
func registry() *pipelines.Registry {
	r := pipelines.NewRegistry()
	pipelines.AddDecoder(r, "csv", csv.New)
	pipelines.AddDecoder(r, "json", json.New)
	pipelines.AddDecoder(r, "logline", logline.New)
	pipelines.AddDecoder(r, "raw", raw.New)
	pipelines.AddDecoder(r, "regex", regex.New)
	transform(r, "cast", func(c cast.Config) (*cast.Transform, error) { return cast.New(c) })
	transform(r, "compute", func(c compute.Config) (*compute.Transform, error) { return compute.New(c) })
	transform(r, "drop", drop.New)
	transform(r, "filter", func(c filter.Config) (*filter.Transform, error) { return filter.New(c) })
	transform(r, "flatten", func(c flatten.Config) (*flatten.Transform, error) { return flatten.New(c) })
	transform(r, "hash", func(c hash.Config) (*hash.Transform, error) { return hash.New(c) })
	transform(r, "keep", keep.New)
	transform(r, "mask", func(c mask.Config) (*mask.Transform, error) { return mask.New(c) })
	transform(r, "parse_timestamp", func(c parsetimestamp.Config) (*parsetimestamp.Transform, error) { return parsetimestamp.New(c) })
	transform(r, "rename", rename.New)
	pipelines.AddSink(r, "dynamodb", dynamodb.Open)
	pipelines.AddSink(r, "file", file.Open)
	pipelines.AddSink(r, "postgres", postgres.Open)
	pipelines.AddSink(r, "s3", s3.Open)
	return r
}

func transform[C any, T connectors.Transform](r *pipelines.Registry, name string, open func(C) (T, error)) {
	pipelines.AddTransform(r, name, open)
}
