// Package fault defines error types that determine the exit status of clusterctl, and errors with a hint for the user.
package fault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// errorWithHint is an error with a hint. Other packages define errors that also have a method Hint.
type errorWithHint struct {
	err  error
	hint string
}

func (e *errorWithHint) Error() string { return e.err.Error() }
func (e *errorWithHint) Unwrap() error { return e.err }

// Hint returns what to type to fix the error.
func (e *errorWithHint) Hint() string { return e.hint }

// WithHint returns an error with the text of err and a hint, which contains what to type.
func WithHint(err error, format string, args ...any) error {
	return &errorWithHint{err: err, hint: fmt.Sprintf(format, args...)}
}

// Hint returns the first hint that is not empty in the chain of wrapped errors, or "".
func Hint(err error) string {
	for err != nil {
		var h interface{ Hint() string }
		if !errors.As(err, &h) {
			return ""
		}
		if hint := h.Hint(); hint != "" {
			return hint
		}
		// The method Hint of this error returned "", so look for a hint in the errors that it wraps.
		inner, ok := h.(interface{ Unwrap() error })
		if !ok {
			return ""
		}
		err = inner.Unwrap()
	}
	return ""
}

// UsageError is the error for a command line that is invalid on every machine. The exit status is 2.
type UsageError struct{ message string }

func (e *UsageError) Error() string { return e.message }

// Usagef returns a [UsageError].
func Usagef(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }

// NotReached is the error of a command that did its work, but could not bring an app into the requested state: for example,
// an instance ended after its start. The exit status is 3.
type NotReached struct {
	Err error
	// Log contains the last log lines of the instance that failed.
	Log []string
}

func (e *NotReached) Error() string { return e.Err.Error() }
func (e *NotReached) Unwrap() error { return e.Err }

// Flatten returns the errors that [errors.Join] has joined, at all levels. It does not split an error of [fmt.Errorf] with
// several %w, because the text of such an error is one sentence.
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

// Cause returns the error that an [fs.PathError] or [os.SyscallError] wraps, or err itself for other errors. Messages that
// already name the path use Cause, so that they do not name it twice.
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
