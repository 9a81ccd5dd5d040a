package config

import (
	"strconv"
	"strings"
)

// Error is one mistake in a file.
type Error struct {
	// File is the name that was passed to Decode.
	File string
	// Line and Column count from 1; 0 means that the mistake has no position.
	Line, Column int
	// Field is the key with its parents, for example "env.PORT" or "apps.shop.listen". It may be empty.
	Field string
	// Message describes the mistake, in lower case and without a full stop.
	Message string
	// Advice is what to write instead. It may be empty.
	Advice string
}

// Error returns "file:line: field: message".
func (e *Error) Error() string {
	s := e.File
	if e.Line > 0 {
		s += ":" + strconv.Itoa(e.Line)
	}
	if e.Field != "" {
		s += ": " + e.Field
	}
	return s + ": " + e.Message
}

// Hint returns the advice, like the method of the same name in other packages' errors.
func (e *Error) Hint() string { return e.Advice }

// Errors are all mistakes in a file, in the order of their lines. It is never empty.
type Errors []*Error

// Error returns one line per mistake, without the hints.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find a single Error.
func (e Errors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, err := range e {
		errs[i] = err
	}
	return errs
}
