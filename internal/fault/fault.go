// Package fault defines the kinds of errors with which a command can end, and the hints of errors. The kind determines the
// exit status of clusterctl.
package fault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// hinted is an error with a hint. Errors of other types that have a method Hint are handled in the same way.
type hinted struct {
	err  error
	hint string
}

func (e *hinted) Error() string { return e.err.Error() }
func (e *hinted) Unwrap() error { return e.err }

// Hint returns what to type to fix the error.
func (e *hinted) Hint() string { return e.hint }

// WithHint returns err with a hint: what to type to fix the error.
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
		// This error has a method Hint but no hint for its case, so look for a hint in the errors that it wraps.
		inner, ok := h.(interface{ Unwrap() error })
		if !ok {
			return ""
		}
		err = inner.Unwrap()
	}
	return ""
}

// UsageError is an error in the command line that does not depend on the state of the machine.
type UsageError struct{ message string }

func (e *UsageError) Error() string { return e.message }

// Usagef returns a [UsageError].
func Usagef(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }

// NotReached is the error if a command did its work, but an app is not in the requested state.
type NotReached struct {
	Err error
	// Log are the last log lines of the instance that failed.
	Log []string
}

func (e *NotReached) Error() string { return e.Err.Error() }
func (e *NotReached) Unwrap() error { return e.Err }

// Flatten returns the errors that [errors.Join] has joined. It does not split an error of [fmt.Errorf] with several %w,
// which is one sentence.
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

// Cause returns the error inside an [fs.PathError] or an [os.SyscallError], whose text would repeat the operation and the
// path.
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
