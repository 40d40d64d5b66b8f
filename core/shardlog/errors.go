package shardlog

import "errors"

// What a caller should do with each is its first words.
var (
	// ErrFenced: stop. Another writer claimed the log with a higher epoch; this writer can never append again.
	ErrFenced = errors.New("log claimed by another writer")
	// ErrConflict: re-read the tail and decide anew. The entry would not have got the expected position; it was not appended.
	ErrConflict = errors.New("log is not at the expected position")
	// ErrSealed: go to the successors. The log takes no more entries.
	ErrSealed = errors.New("log sealed")
	// ErrUnknown: claim again and read back. The outcome is not known and the writer is poisoned.
	ErrUnknown = errors.New("outcome of append unknown")
	// ErrTrimmed: restart at the trim horizon. The entries asked for were deleted by Trim.
	ErrTrimmed = errors.New("entries trimmed")
	// ErrTip: nothing more is durable now. Only cursors opened with NoWait return it; Next may be called again later.
	ErrTip = errors.New("at the tip of the log")
	// ErrCorrupt: page someone. Stored bytes fail their checksum; the error names the file, the offset and the cure.
	ErrCorrupt = errors.New("stored log corrupt")
	// ErrNotFound: the log does not exist, or was deleted.
	ErrNotFound = errors.New("no such log")
	// ErrExists: the log exists already.
	ErrExists = errors.New("log exists")
	// ErrFull: wait for space. Nothing was appended, nothing is lost; the engine takes appends again once space returns.
	ErrFull = errors.New("no space for the log")
	// ErrClosed: the engine or writer was closed by its owner.
	ErrClosed = errors.New("log closed")
)
