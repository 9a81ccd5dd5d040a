package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/mask"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
)

// maxEnvInput is the maximum size of the input of --env -. The kernel accepts a smaller environment for one program.
const maxEnvInput = 4 << 20

// expandEnv replaces --env NAME by the value of NAME in the environment of the caller, and --env - by the lines of standard
// input. With --env NAME and --env -, the values are not on the command line, where other users could see them. If --env
// NAME=VALUE has a value that looks secret, expandEnv prints a warning.
func (e *env) expandEnv(f *appFlags, name string) error {
	var all []string
	read := false
	for _, s := range f.env {
		switch value := e.getenv(s); {
		case s == "-" && read:
			return fault.Usagef("--env - is given twice")
		case s == "-":
			read = true
			lines, err := e.envFromInput()
			if err != nil {
				return err
			}
			all = append(all, lines...)
		case !strings.Contains(s, "=") && s != "" && value != "":
			all = append(all, s+"="+value)
		default:
			e.warnOfSecret(s, name)
			all = append(all, s)
		}
	}
	f.env = all
	return nil
}

// envFromInput reads assignments in the syntax of an environment file from standard input.
func (e *env) envFromInput() ([]string, error) {
	if e.stdinTTY {
		e.note("reading variables from the terminal: type lines NAME=VALUE, then Ctrl-D")
	}
	data, err := io.ReadAll(io.LimitReader(e.stdin, maxEnvInput+1))
	if err == nil && len(data) > maxEnvInput {
		err = fmt.Errorf("more than %d bytes", maxEnvInput)
	}
	if err != nil {
		return nil, fmt.Errorf("--env -: reading standard input: %w", err)
	}
	vars, err := units.ParseValues(data)
	if err != nil {
		var errs []error
		for _, part := range fault.Flatten(err) {
			errs = append(errs, fault.WithHint(fault.Usagef("--env -: %s", part.Error()),
				"write NAME=VALUE, or NAME=\"VALUE\" for a value with blanks, quotes or several lines"))
		}
		return nil, errors.Join(errs...)
	}
	var lines []string
	for _, v := range vars {
		lines = append(lines, v.Name+"="+v.Value)
	}
	return lines, nil
}

func (e *env) warnOfSecret(s, name string) {
	variable, value, _ := strings.Cut(s, "=")
	if _, masked := mask.Value(variable, value); masked {
		e.note("warning: %s looks like a secret, and other users can see the command line: use --env - (lines of stdin), "+
			"or sudo clusterctl secret set %s %s with --secret-env %s", text.Printable(variable), text.Shell(name),
			text.Shell(variable), text.Shell(variable))
	}
}
