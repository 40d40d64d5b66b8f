// Package fuzztest runs the targets of go test -fuzz over far more inputs than that can: without looking at what they
// cover, thousands of times as many in a second. It is used by tests alone.
package fuzztest

import (
	"flag"
	"math/rand/v2"
	"os"
	"reflect"
	"runtime/metrics"
	"strconv"
	"sync"
	"testing"
)

// maxAllocated is how much memory one input may make a target take, in bytes.
const maxAllocated = 64 << 20

// Mutating returns f, a target as testing.F.Fuzz takes it, so that in a test run without -fuzz each input of the corpus is
// followed by PENSTOCK_MUTATIONS mutations of it. No input may make f allocate more than 64 MiB. The input that makes it fail
// is logged.
func Mutating[F any](f F) F {
	n, _ := strconv.Atoi(os.Getenv("PENSTOCK_MUTATIONS")) // 0 where it is not set
	if fuzzing := flag.Lookup("test.fuzz"); n == 0 || fuzzing != nil && fuzzing.Value.String() != "" {
		return f
	}
	m := &mutator{f: reflect.ValueOf(f), n: n}
	return reflect.MakeFunc(m.f.Type(), m.call).Interface().(F)
}

type mutator struct {
	f reflect.Value
	n int

	mu   sync.Mutex // guards the corpus that was seen
	seen [][]reflect.Value
}

// call calls the target with one input of the corpus and its mutations.
func (m *mutator) call(args []reflect.Value) []reflect.Value {
	t := args[0].Interface().(*testing.T)
	m.f.Call(args)
	m.mu.Lock()
	m.seen = append(m.seen, args[1:])
	corpus := m.seen
	m.mu.Unlock()
	rng := rand.New(rand.NewPCG(uint64(len(corpus)), uint64(m.n))) //nolint:gosec // inputs that can be had again
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	mutated := make([]reflect.Value, len(args))
	mutated[0] = args[0]
	defer func() {
		if t.Failed() {
			for _, v := range mutated[1:] {
				t.Logf("input: %s(%q)", v.Type(), v.Interface())
			}
		}
	}()
	for range m.n {
		other := corpus[rng.IntN(len(corpus))]
		for i, v := range args[1:] {
			mutated[i+1] = mutate(rng, v, other[i])
		}
		metrics.Read(sample)
		before := sample[0].Value.Uint64()
		m.f.Call(mutated)
		metrics.Read(sample)
		if took := sample[0].Value.Uint64() - before; took > maxAllocated {
			t.Fatalf("an input made the target allocate %d bytes", took)
		}
	}
	t.Logf("campaign=mutations target=%s executions=%d", t.Name(), m.n)
	return nil
}

// mutate is v changed, with parts of other where that helps.
func mutate(rng *rand.Rand, v, other reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.String:
		out.SetString(string(mutateBytes(rng, []byte(v.String()), []byte(other.String()))))
	case reflect.Slice:
		out.SetBytes(mutateBytes(rng, append([]byte(nil), v.Bytes()...), other.Bytes()))
	case reflect.Bool:
		out.SetBool(rng.IntN(2) == 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		out.SetInt(int64(rng.Uint64() >> rng.IntN(64))) //nolint:gosec // any bits
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		out.SetUint(rng.Uint64() >> rng.IntN(64))
	default:
		panic("fuzztest: no mutations of " + v.Type().String())
	}
	return out
}

// telling are values at which readers err: the ends of lengths, and what structures begin and end with.
var telling = []byte{0, 1, 7, 8, 0x7f, 0x80, 0xff, '"', '\\', '{', '}', '[', ']', ',', ':', '\n', '\r', '0', '9', '-', '.', '%', '!', '/', 0xc0, 0xed}

// mutateBytes changes b, which it may keep, in a few places.
func mutateBytes(rng *rand.Rand, b, other []byte) []byte {
	for range 1 + rng.IntN(4) {
		at := rng.IntN(len(b) + 1)
		span := 0
		if at < len(b) {
			span = 1 + rng.IntN(min(len(b)-at, 16))
		}
		switch change := rng.IntN(8); {
		case change == 0: // insert
			b = append(b[:at], append([]byte{telling[rng.IntN(len(telling))]}, b[at:]...)...)
		case change == 1 && len(other) > 0: // splice
			from := rng.IntN(len(other))
			part := other[from : from+1+rng.IntN(min(len(other)-from, 64))]
			b = append(b[:at], append(append([]byte(nil), part...), b[at:]...)...)
		case span == 0: // there is nothing to change
		case change == 2: // flip a bit
			b[at] ^= 1 << rng.IntN(8)
		case change == 3:
			b[at] = telling[rng.IntN(len(telling))]
		case change == 4:
			b[at] = byte(rng.Uint32()) //nolint:gosec // any bits
		case change == 5: // delete
			b = append(b[:at], b[at+span:]...)
		case change == 6: // repeat
			b = append(b[:at+span], append(append([]byte(nil), b[at:at+span]...), b[at+span:]...)...)
		default: // cut
			if rng.IntN(8) == 0 {
				b = b[:at]
			}
		}
	}
	return b
}
