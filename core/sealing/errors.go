package sealing

import (
	"errors"

	"github.com/penstock/penstock/core"
)

// What a caller should do with each is its first words.
var (
	// ErrNoKey: name one that is configured. There is no master key of that name here.
	ErrNoKey = errors.New("no such encryption key")
	// ErrDisabled: enable the master key.
	ErrDisabled = errors.New("the encryption key is disabled")
	// ErrState: look at the master key. It cannot be used as it is: it waits for its deletion, say, or is of another kind.
	ErrState = errors.New("the encryption key cannot be used as it is")
	// ErrDenied: let the credentials of this process use the master key.
	ErrDenied = errors.New("the use of the encryption key is denied")
	// ErrBusy: wait. Master keys are asked for too often.
	ErrBusy error = briefError("the key service is asked too often")
	// ErrUnreachable: wait, and look at the key service. It does not answer.
	ErrUnreachable error = briefError("the key service does not answer")
	// ErrSealed: page someone. It cannot be decrypted: it was changed, moved, or is not of this key.
	ErrSealed = errors.New("cannot be decrypted")
)

// briefError is a core.ErrThrottled.
type briefError string

func (e briefError) Error() string { return string(e) }

func (e briefError) Is(target error) bool { return target == core.ErrThrottled }

// Brief reports whether an error may be over without anybody's doing.
func Brief(err error) bool { return errors.Is(err, core.ErrThrottled) }
