package config

import (
	"strconv"
	"strings"
)

// Error is one mistake in a file.
type Error struct {
	// File is the name that Decode was given.
	File string
	// Line and Column count from 1; 0 means that the mistake is not in one place.
	Line, Column int
	// Field is the key, with its parents, for example "env.PORT" or "apps.shop.listen"; it may be empty.
	Field string
	// Message states the fact, lower case, without a full stop.
	Message string
	// Advice is what to write instead; it may be empty.
	Advice string
}

// Error gives "file:line: field: message".
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

// Hint gives the advice, as the errors of the other packages do.
func (e *Error) Hint() string { return e.Advice }

// Errors are all the mistakes in a file, in the order of their lines; never empty.
type Errors []*Error

// Error gives one mistake a line, without the hints.
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
