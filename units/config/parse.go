package config

import (
	"fmt"
	"strconv"
	"time"

	"github.com/clusterctl/clusterctl/units"
)

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		hint := "use 30s, 1m30s or 500ms"
		if _, err := strconv.ParseFloat(s, 64); err == nil {
			hint = "use " + s + "s"
		}
		return 0, invalid(hint, "%q is not a duration", s)
	}
	if d <= 0 {
		return 0, invalid("omit the key for the default", "%q must be positive", s)
	}
	return d, nil
}

func parseNumber(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, invalid("", "%q must be a number, 0 or more", s)
	}
	return n, nil
}

func parseBool(s string) (bool, error) {
	switch s {
	case "true", "True", "TRUE":
		return true, nil
	case "false", "False", "FALSE":
		return false, nil
	}
	return false, invalid("", "%q is not true or false", s)
}

// oneOf returns a parser of two words. It returns true for the first word, and false for the second word, the default.
func oneOf(yes, no string) func(string) (bool, error) {
	return func(s string) (bool, error) {
		if s != yes && s != no {
			return false, invalid("", "%q is not one of %s, %s", s, yes, no)
		}
		return s == yes, nil
	}
}

func invalid(hint, format string, args ...any) error {
	return &units.FieldError{Message: fmt.Sprintf(format, args...), Hint: hint}
}
