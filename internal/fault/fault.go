// Package fault has the kinds of errors that a command can end with, and the hints that errors carry. The kind decides the
// exit status of clusterctl.
package fault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// hinted is an error with a hint. Other errors that have a method Hint are treated the same.
type hinted struct {
	err  error
	hint string
}

func (e *hinted) Error() string { return e.err.Error() }
func (e *hinted) Unwrap() error { return e.err }

// Hint returns what to type to correct the error.
func (e *hinted) Hint() string { return e.hint }

// WithHint returns err with a hint: what to type to correct it.
func WithHint(err error, format string, args ...any) error {
	return &hinted{err: err, hint: fmt.Sprintf(format, args...)}
}

// Hint returns the hint of the first error in the chain that has one, or "".
func Hint(err error) string {
	for err != nil {
		var h interface{ Hint() string }
		if !errors.As(err, &h) {
			return ""
		}
		if hint := h.Hint(); hint != "" {
			return hint
		}
		// The first one has none for this case, as a unit that is only masked: look below it.
		inner, ok := h.(interface{ Unwrap() error })
		if !ok {
			return ""
		}
		err = inner.Unwrap()
	}
	return ""
}

// UsageError is an error of the command line: it cannot be carried out whatever the state of the machine is.
type UsageError struct{ message string }

func (e *UsageError) Error() string { return e.message }

// Usagef makes a [UsageError].
func Usagef(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }

// NotReached is the error of a command that did what was asked, but an app is not in the state that was asked for.
type NotReached struct {
	Err error
	// Log are the last log lines of the instance that failed.
	Log []string
}

func (e *NotReached) Error() string { return e.Err.Error() }
func (e *NotReached) Unwrap() error { return e.Err }

// Flatten returns the errors that [errors.Join] put together. An error of [fmt.Errorf] with several %w is one sentence, and
// stays one error.
func Flatten(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	var lines []string
	for _, one := range joined.Unwrap() {
		all = append(all, Flatten(one)...)
		lines = append(lines, one.Error())
	}
	if strings.Join(lines, "\n") != err.Error() {
		return []error{err}
	}
	return all
}

// Cause returns the error below an [fs.PathError] or an [os.SyscallError], whose text would repeat the operation and the path.
func Cause(err error) error {
	var path *fs.PathError
	var call *os.SyscallError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &call):
		return call.Err
	}
	return err
}
