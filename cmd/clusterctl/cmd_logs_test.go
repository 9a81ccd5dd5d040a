package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/journal"
)

// TestLogsDefaults checks the default number of lines, and in which cases the command waits for new lines.
func TestLogsDefaults(t *testing.T) {
	for name, c := range map[string]struct {
		options  logsOptions
		terminal bool
		lines    int
		follow   bool
	}{
		"a pipe":                  {lines: 15},
		"a terminal":              {terminal: true, lines: 15, follow: true},
		"a terminal, --no-follow": {options: logsOptions{noFollow: true}, terminal: true, lines: 15},
		"a pipe, --follow":        {options: logsOptions{follow: true}, lines: 15, follow: true},
		"a time":                  {options: logsOptions{since: "10m"}, terminal: true, lines: journal.AllLines, follow: true},
		"an end":                  {options: logsOptions{until: "10m"}, terminal: true, lines: journal.AllLines},
		"a boot":                  {options: logsOptions{boot: cmdline.Optional{Given: true}}, lines: journal.AllLines},
		"all":                     {options: logsOptions{lines: "all"}, lines: journal.AllLines},
		"none":                    {options: logsOptions{lines: "0"}, terminal: true, lines: 0, follow: true},
		"a number and a time":     {options: logsOptions{lines: "3", since: "1h"}, lines: 3},
	} {
		o := c.options
		if err := o.check(&env{stdoutTTY: c.terminal}); err != nil || o.linesWanted != c.lines || o.follow != c.follow {
			t.Errorf("%s: got %d lines, follow %v, error %v", name, o.linesWanted, o.follow, err)
		}
	}
}

func TestLogsRefused(t *testing.T) {
	for want, o := range map[string]logsOptions{
		"--follow cannot be combined with --no-follow": {follow: true, noFollow: true},
		"--follow cannot be combined with --until":     {follow: true, until: "now"},
		"--raw cannot be combined with --json":         {raw: true, asJSON: true},
		"--raw cannot be combined with --fields or":    {raw: true, fields: true},
		`--lines: "some"`:                              {lines: "some"},
		`--lines: "-3"`:                                {lines: "-3"},
		`--priority: "loud"`:                           {priority: "loud"},
		`--timestamp: invalid time format "now"`:       {timestamp: cmdline.Optional{Given: true, Value: "now"}},
	} {
		err := o.check(&env{})
		if exitCode(err) != exitUsage || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v", want, err)
		}
	}
}

func TestLogsErrors(t *testing.T) {
	e := &env{args: []string{"clusterctl", "logs", "shop"}}
	if err := logsError(fmt.Errorf("writing: %w", syscall.EPIPE), logsOptions{}); err != nil {
		t.Errorf("a closed pipe: got error %v", err)
	}
	for flag, hint := range map[string]string{
		"grep": "man 3 pcre2pattern", "since": "--since 10m", "boot": "journalctl --list-boots",
	} {
		err := logsError(&journal.ArgumentError{Flag: flag, Message: "(?: refused", Reason: "missing )"}, logsOptions{grep: "a("})
		if exitCode(err) != exitUsage || !strings.Contains(e.hintFor(err), hint) ||
			flag == "grep" && strings.Contains(err.Error(), "(?:") {
			t.Errorf("%q: got error %v, hint %q", flag, err, e.hintFor(err))
		}
	}
	denied := &journal.AccessError{Path: "/var/log/journal/x/system.journal", Err: fs.ErrPermission}
	if exitCode(denied) != exitPermission || !errors.Is(denied, fs.ErrPermission) {
		t.Errorf("%v: got exit status %d", denied, exitCode(denied))
	}
}

func TestHighlighter(t *testing.T) {
	for name, c := range map[string]struct {
		texts      []string
		grep, text string
		want       string
	}{
		"a text":                          {[]string{"a.b"}, "", "a.b axb a.b", "[[0 3] [8 11]]"},
		"a pattern in lower case":         {nil, "err|warn", "Error WARN", "[[0 3] [6 10]]"},
		"a pattern with a capital":        {nil, "Err", "err Err", "[[4 7]]"},
		"both":                            {[]string{"x"}, "y", "xyz", "[[0 1] [1 2]]"},
		"a pattern that is invalid in Go": {[]string{"x"}, "(?<=a)b", "abx", "[[2 3]]"},
	} {
		if got := fmt.Sprint(highlighter(c.texts, c.grep)([]byte(c.text))); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
	if highlighter([]string{""}, "") != nil {
		t.Error("without texts and patterns: got a highlighter, want nil")
	}
}
