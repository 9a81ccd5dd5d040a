package units

import (
	"fmt"
	"slices"
	"strings"
)

// FieldError is one mistake in an App: the field, what is wrong with it, and what to write instead.
type FieldError struct {
	// Key is the key in the config file, for example "listen" or "env".
	Key string
	// Item is the name of an entry in a map, such as "PORT", or empty.
	Item string
	// Index is the index of an entry in the list or map of the key, or -1 if the error is not about one entry.
	Index int
	// Missing means that the key is required, but the app has no value for it.
	Missing bool
	// Message describes the mistake, in lower case and without a full stop.
	Message string
	// Hint is what to type. It may be empty.
	Hint string
}

func (e *FieldError) Error() string { return e.Field() + ": " + e.Message }

// Field returns the key with the item, for example "env.PORT".
func (e *FieldError) Field() string {
	if e.Item == "" {
		return e.Key
	}
	return e.Key + "." + e.Item
}

func fieldErrorf(key, hint, format string, args ...any) *FieldError {
	return &FieldError{Key: key, Index: -1, Message: fmt.Sprintf(format, args...), Hint: hint}
}

func missing(key string) *FieldError {
	return &FieldError{Key: key, Index: -1, Missing: true, Message: "is empty"}
}

// entry sets the index of the wrong entry in err, if err is a FieldError, and returns err.
func entry(err error, index int) error {
	if e, ok := err.(*FieldError); ok {
		e.Index = index
	}
	return err
}

// variable sets the index and the name of the wrong variable in err, if err is a FieldError, and returns err.
func variable(err error, index int, name string) error {
	if e, ok := err.(*FieldError); ok {
		e.Item = name
	}
	return entry(err, index)
}

func parseEnum[T ~int](key, s string, names []string) (T, error) {
	if i := slices.Index(names, s); i >= 0 {
		return T(i), nil
	}
	return 0, fieldErrorf(key, "", "%q is not one of %s", s, strings.Join(names, ", "))
}
