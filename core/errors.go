package core

import "errors"

// ErrInvalid says that a caller's value breaks a documented constraint. Retrying cannot help; correct the value.
var ErrInvalid = errors.New("invalid")

// ErrThrottled says that a limit was reached. Wait and try again.
var ErrThrottled = errors.New("throttled")
