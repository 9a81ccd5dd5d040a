package config

import (
	"strconv"
	"time"

	"github.com/clusterctl/clusterctl/units"
)

// maxDuration is the maximum of a duration. [units.App.Validate] checks it, too, but its error does not contain the text
// from the file.
const maxDuration = 365 * 24 * time.Hour

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		hint := "use 30s, 1m30s or 500ms"
		if _, err := strconv.ParseFloat(s, 64); err == nil {
			hint = "use " + s + "s"
		}
		return 0, &units.FieldError{Message: strconv.Quote(s) + " is not a duration", Hint: hint}
	}
	if d > maxDuration {
		return 0, &units.FieldError{Message: strconv.Quote(s) + " is longer than a year"}
	}
	if d <= 0 {
		return 0, &units.FieldError{Message: strconv.Quote(s) + " must be positive", Hint: "omit the key for the default"}
	}
	return d, nil
}

func parseNumber(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, &units.FieldError{Message: strconv.Quote(s) + " must be a number, 0 or more"}
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
	return false, &units.FieldError{Message: strconv.Quote(s) + " is not true or false"}
}

// parseDrain parses "off", which means that the program drains itself, or "on", the default.
func parseDrain(s string) (off bool, err error) { return parseWord(s, "off", "on", "on, off") }

// parseAccept parses "hold", which makes the notifier answer accept(2), or "pass", the default.
func parseAccept(s string) (bool, error) { return parseWord(s, "hold", "pass", "hold, pass") }

func parseWord(s, yes, no, words string) (bool, error) {
	if s != yes && s != no {
		return false, &units.FieldError{Message: strconv.Quote(s) + " is not one of " + words}
	}
	return s == yes, nil
}
