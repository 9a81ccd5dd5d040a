package units

import (
	"fmt"
	"strings"
)

// FieldError is one thing wrong with an App: which field, what is wrong, and what to write instead.
type FieldError struct {
	// Field is the name that the config file uses, for example "listen" or "env.PORT".
	Field string
	// Message states the fact, lower case, without a full stop.
	Message string
	// Hint is what to type; it may be empty.
	Hint string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Message }

func fieldErrorf(field, hint, format string, args ...any) *FieldError {
	return &FieldError{Field: field, Message: fmt.Sprintf(format, args...), Hint: hint}
}

func parseEnum(field, s string, names []string) (int, error) {
	for i, n := range names {
		if s == n {
			return i, nil
		}
	}
	return 0, fieldErrorf(field, "", "%q is not one of %s", s, strings.Join(names, ", "))
}
