package dynamodb

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Bounds of a key.
const (
	maxPartition = 2048
	maxSort      = 1024
)

// keyOf is the key of a row, and a text that keys which are equal to the table have in common.
func (r *reader) keyOf(i int) (map[string]types.AttributeValue, string, error) {
	key, id := map[string]types.AttributeValue{}, ""
	for k, name := range r.cfg.Key.names() {
		v, err := r.keyValue(i, k, name)
		if err != nil {
			return nil, "", err
		}
		key[name] = v
		var written string
		switch v := v.(type) {
		case *types.AttributeValueMemberS:
			written = v.Value
		case *types.AttributeValueMemberN:
			written = v.Value
		case *types.AttributeValueMemberB:
			written = string(v.Value)
		}
		if most := []int{maxPartition, maxSort}[k]; len(written) > most {
			return nil, "", &unfit{"key_too_long", fmt.Sprintf("column %q of the key has %d bytes, more than DynamoDB's %d", name, len(written), most)}
		}
		id += strconv.Itoa(len(written)) + ":" + written
	}
	return key, id, nil
}

func (r *reader) keyValue(i, k int, name string) (types.AttributeValue, error) {
	if r.cfg.Mode == modeAppend && name == r.cfg.Key.identity() {
		w := r.which(i)
		return text(fmt.Sprintf("%s:%s:%s:%s:%d", r.pipeline, r.source, w.Shard, w.Seq, w.Ord)), nil
	}
	c := r.key[k]
	if c.arr == nil || c.arr.IsNull(i) {
		return nil, &unfit{"null_key", fmt.Sprintf("column %q of the key is null", name)}
	}
	v, err := c.value(i)
	if u := (*unfit)(nil); errors.As(err, &u) {
		return nil, &unfit{"bad_key", fmt.Sprintf("column %q of the key: %s", name, u.reason)}
	} else if err != nil {
		return nil, err
	}
	is, empty := types.ScalarAttributeType("neither text, number nor bytes"), false
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		is, empty = types.ScalarAttributeTypeS, v.Value == ""
	case *types.AttributeValueMemberN:
		is = types.ScalarAttributeTypeN
	case *types.AttributeValueMemberB:
		is, empty = types.ScalarAttributeTypeB, len(v.Value) == 0
	}
	switch {
	case empty:
		return nil, &unfit{"empty_key", fmt.Sprintf("column %q of the key is empty", name)}
	case is != r.table.keyTypes[name]:
		return nil, &unfit{"key_type", fmt.Sprintf("column %q of the key is %s, and %s in the table", name, is, r.table.keyTypes[name])}
	}
	return v, nil
}
