package dynamodb

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/klauspost/compress/zstd"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

const (
	packFrom = 1 << 10   // a write is paid by the KiB
	maxValue = 390 << 10 // of an item, of which DynamoDB takes 400 KiB
	maxText  = 64 << 20  // of what is unpacked
)

//nolint:gochecknoglobals // they have no state between calls
var (
	packer, _   = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	unpacker, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxText))
)

// pack is the attribute that keeps a value, of the one for values as they are and the one for those that are packed.
func pack(key string, value []byte, plain, packed string) (string, types.AttributeValue, error) {
	name := plain
	if len(value) >= packFrom {
		name, value = packed, packer.EncodeAll(value, nil)
	}
	if len(value) > maxValue {
		return "", nil, connectors.Permanent(fmt.Errorf("row %s takes %d bytes, compressed, of which DynamoDB has room for %d: %w", key, len(value), maxValue, core.ErrInvalid))
	}
	return name, &types.AttributeValueMemberB{Value: value}, nil
}

// valueOf reads what pack made.
func valueOf(i item, plain, packed string) ([]byte, error) {
	if v, ok := i[packed].(*types.AttributeValueMemberB); ok {
		return unpacker.DecodeAll(v.Value, nil)
	}
	if v, ok := i[plain].(*types.AttributeValueMemberB); ok {
		if v.Value == nil { // an empty one
			return []byte{}, nil
		}
		return v.Value, nil
	}
	return nil, nil
}
