package pipelines

import (
	"context"
	"maps"
	"reflect"
	"slices"

	"github.com/penstock/penstock/connectors"
)

// Registry is what pipelines can be made of. It is filled before it is used, and not changed then.
type Registry struct {
	decoders   map[string]kind[connectors.Decoder]
	transforms map[string]kind[connectors.Transform]
	sinks      map[string]kind[connectors.Sink]
}

// kind is one entry of a registry.
type kind[T any] struct {
	config reflect.Type
	open   func(ctx context.Context, config any) (T, error)
}

// NewRegistry returns one that knows no kind of anything.
func NewRegistry() *Registry {
	return &Registry{map[string]kind[connectors.Decoder]{}, map[string]kind[connectors.Transform]{}, map[string]kind[connectors.Sink]{}}
}

// AddDecoder makes a decoder known. A taken name panics, which is a mistake in main.
func AddDecoder[C any, D connectors.Decoder](r *Registry, name string, open func(C) (D, error)) {
	add(r.decoders, name, func(_ context.Context, c C) (connectors.Decoder, error) { return open(c) })
}

// AddTransform makes a transform known. A taken name panics.
func AddTransform[C any, T connectors.Transform](r *Registry, name string, open func(C) (T, error)) {
	add(r.transforms, name, func(_ context.Context, c C) (connectors.Transform, error) { return open(c) })
}

// AddSink makes a sink known. A taken name panics.
func AddSink[C any, S connectors.Sink](r *Registry, name string, open func(context.Context, C) (S, error)) {
	add(r.sinks, name, func(ctx context.Context, c C) (connectors.Sink, error) { return open(ctx, c) })
}

func add[C, T any](to map[string]kind[T], name string, open func(context.Context, C) (T, error)) {
	if _, taken := to[name]; taken {
		panic("pipelines: " + name + " is registered twice")
	}
	to[name] = kind[T]{reflect.TypeFor[C](), func(ctx context.Context, c any) (T, error) { return open(ctx, c.(C)) }}
}

func names[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
