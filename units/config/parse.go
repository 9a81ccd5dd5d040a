package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/internal/text"
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

// oneOf returns a parser of two words. The parser returns true for the first word, and false for the second word,
// which is the default.
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

// The function synonyms maps keys of other tools (PM2, Compose, systemd) to our key for the same setting.
func synonyms() map[string]string {
	return map[string]string{
		"cwd": "directory", "workdir": "directory", "working-dir": "directory", "working-directory": "directory",
		"workingdirectory": "directory",
		"user":             "run-as", "uid": "run-as", "gid": "run-as", "group": "run-as",
		"script": "command", "args": "command", "exec": "command", "cmd": "command", "execstart": "command",
		"entrypoint": "command", "interpreter": "command",
		"port": "listen", "ports": "listen", "socket": "listen", "address": "listen",
		"environment": "env", "envfile": "env-files", "environment-file": "env-files", "environmentfile": "env-files",
		"replicas": "instances", "processes": "instances", "workers": "instances", "scale": "instances",
		"kill-timeout": "stop-timeout", "listen-timeout": "start-timeout", "increment-var": "increment", "autorestart": "restart",
		"readwritepaths": "writable", "reads": "read", "readable": "read", "readonlypaths": "read", "bindreadonlypaths": "read",
	}
}

// The function suggest returns a known key that is similar to an unknown key, or "".
func suggest(key string) string {
	k := strings.ReplaceAll(strings.ToLower(key), "_", "-")
	if s, ok := synonyms()[k]; ok {
		return s
	}
	best, least := "", 3
	for _, name := range Keys() {
		if d := text.Edits(k, name); d < least && d < len(name)/2+1 {
			best, least = name, d
		}
	}
	if best == "" && text.Edits(k, appsKey) == 1 {
		best = appsKey
	}
	return best
}

// parseAllowance parses one word of "allow". If the word is unknown, the hint suggests a similar word.
func parseAllowance(word string) (units.Allowance, error) {
	w, err := units.ParseAllowance(word)
	if e, unknown := errors.AsType[*units.FieldError](err); unknown {
		for _, like := range units.Allowances() {
			if text.Edits(word, string(like)) <= 2 {
				e.Hint = "did you mean " + string(like) + "?"
				break
			}
		}
	}
	return w, err
}
