package stream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
)

// Bounds of tags, those of AWS.
const (
	MaxTags     = 50 // of a stream or consumer
	MaxTagKey   = 128
	MaxTagValue = 256
)

// InvalidError is a core.ErrInvalid that says what is wrong.
type InvalidError struct{ What string }

func (e *InvalidError) Error() string { return e.What }

// Is makes it a core.ErrInvalid.
func (e *InvalidError) Is(target error) bool { return target == core.ErrInvalid }

// CheckTags says what of some tags breaks AWS's rules for them; an InvalidError.
func CheckTags(tags map[string]string) error {
	for key, value := range tags {
		if err := checkTagKey(key); err != nil {
			return err
		}
		if utf8.RuneCountInString(value) > MaxTagValue || !tagText(value) {
			return badTag()
		}
	}
	if len(tags) > MaxTags {
		return &InvalidError{fmt.Sprintf("a resource cannot have more than %d tags", MaxTags)}
	}
	return nil
}

func checkTagKey(key string) error {
	if n := utf8.RuneCountInString(key); n == 0 || n > MaxTagKey || !tagText(key) {
		return badTag()
	}
	if strings.HasPrefix(strings.ToLower(key), "aws:") {
		return &InvalidError{"tag keys that begin with aws: are reserved"}
	}
	return nil
}

func badTag() error {
	return &InvalidError{"Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . : / = + - @"}
}

func tagText(s string) bool {
	for _, r := range s {
		if !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.Is(unicode.Z, r) && !strings.ContainsRune("_.:/=+-@", r) {
			return false
		}
	}
	return utf8.ValidString(s)
}

// tagged are tags with others added or put in their places.
func tagged(have, more map[string]string) (map[string]string, error) {
	if err := CheckTags(more); err != nil {
		return nil, err
	}
	out := maps.Clone(have)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, more)
	return out, CheckTags(out)
}

func untagged(have map[string]string, keys []string) (map[string]string, error) {
	out := maps.Clone(have)
	for _, key := range keys {
		if err := checkTagKey(key); err != nil {
			return nil, err
		}
		delete(out, key)
	}
	return out, nil
}

// Tag adds tags to the stream, or changes their values; an InvalidError where they break a rule.
func (s *Stream) Tag(ctx context.Context, tags map[string]string) error {
	return s.retag(ctx, func(have map[string]string) (map[string]string, error) { return tagged(have, tags) })
}

// Untag removes tags of the stream, as far as it has them.
func (s *Stream) Untag(ctx context.Context, keys []string) error {
	return s.retag(ctx, func(have map[string]string) (map[string]string, error) { return untagged(have, keys) })
}

func (s *Stream) retag(ctx context.Context, change func(map[string]string) (map[string]string, error)) error {
	return s.amend(ctx, func(i *Info) (err error) {
		if i.Phase == Deleting {
			return fmt.Errorf("stream %s is being deleted: %w", s.name, ErrBusy)
		}
		i.Tags, err = change(i.Tags)
		return err
	})
}

// TagConsumer adds tags to a consumer, or changes their values; ErrNoConsumer.
func (s *Stream) TagConsumer(ctx context.Context, name string, tags map[string]string) error {
	return s.amendConsumer(ctx, name, func(c *Consumer) (err error) {
		c.Tags, err = tagged(c.Tags, tags)
		return err
	})
}

// UntagConsumer removes tags of a consumer, as far as it has them; ErrNoConsumer.
func (s *Stream) UntagConsumer(ctx context.Context, name string, keys []string) error {
	return s.amendConsumer(ctx, name, func(c *Consumer) (err error) {
		c.Tags, err = untagged(c.Tags, keys)
		return err
	})
}

// amendConsumer changes the row of a consumer that stays.
func (s *Stream) amendConsumer(ctx context.Context, name string, change func(*Consumer) error) error {
	for {
		row, c, err := s.consumer(ctx, name)
		if err != nil {
			return err
		}
		if c.Phase == Deleting {
			return fmt.Errorf("consumer %s of stream %s is being removed: %w", name, s.name, ErrBusy)
		}
		if err := change(&c); err != nil {
			return err
		}
		_, err = s.store.control.Commit(ctx, control.Txn{
			Checks: []control.Check{{Key: row.Key, Version: row.Version}}, Writes: []control.Write{c.write(row.Key)},
		})
		if errors.Is(err, control.ErrConflict) {
			continue
		} else if err != nil {
			return fmt.Errorf("change consumer %s of stream %s: %w", name, s.name, err)
		}
		return nil
	}
}
