package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// Scripts depend on the exit statuses, so the statuses must not change. The manual page describes each status.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotReached  = 3
	exitPermission  = 4
	exitInterrupted = 130
)

func exitCode(err error) int {
	_, usage := errors.AsType[*fault.UsageError](err)
	_, field := errors.AsType[*units.FieldError](err)
	_, notReached := errors.AsType[*fault.NotReached](err)
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case usage, field:
		return exitUsage
	case notReached:
		return exitNotReached
	case errors.Is(err, control.ErrPermission), errors.Is(err, fs.ErrPermission):
		return exitPermission
	}
	return exitFailed
}

// The method report prints each of the joined errors. If an error has log lines or a hint, it also prints them.
func (e *env) report(err error) {
	for _, part := range fault.Flatten(err) {
		fmt.Fprintf(e.stderr, "clusterctl: %s\n", text.Printable(part.Error()))
		if notReached, ok := errors.AsType[*fault.NotReached](part); ok && len(notReached.Log) > 0 {
			fmt.Fprintln(e.stderr, "clusterctl: its last log lines:")
			for _, line := range notReached.Log {
				fmt.Fprintf(e.stderr, "    %s\n", text.Printable(line))
			}
		}
		if hint := e.hintFor(part); hint != "" {
			for line := range strings.Lines(hint) {
				fmt.Fprintf(e.stderr, "clusterctl: hint: %s\n", text.Printable(strings.TrimRight(line, "\n")))
			}
		}
	}
}

// withoutReader returns err without the errors of writes to a closed stdout. head(1) closes stdout early, as in "clusterctl
// ls | head -1".
func withoutReader(err error) error {
	if err == nil {
		return nil
	}
	return errors.Join(slices.DeleteFunc(fault.Flatten(err), func(part error) bool {
		write, ok := errors.AsType[*fs.PathError](part)
		return ok && write.Path == "/dev/stdout" && errors.Is(write, syscall.EPIPE)
	})...)
}

// interruptedError replaces all errors of steps that a signal canceled.
type interruptedError struct{}

func (interruptedError) Error() string { return "interrupted" }
func (interruptedError) Unwrap() error { return context.Canceled }

// The function interrupted replaces the errors of canceled steps in err by one interruptedError, and keeps other errors,
// such as the error of a failed undo.
func interrupted(err error) error {
	others := slices.DeleteFunc(fault.Flatten(err), func(part error) bool { return errors.Is(part, context.Canceled) })
	return errors.Join(append([]error{interruptedError{}}, others...)...)
}

func (e *env) hintFor(err error) string {
	field, isField := errors.AsType[*units.FieldError](err)
	switch hint := fault.Hint(err); {
	case hint != "":
		return hint
	case isField:
		return field.Hint
	case errors.Is(err, control.ErrPermission), errors.Is(err, fs.ErrPermission):
		return sudoHint(e.args)
	case errors.Is(err, control.ErrNoSystemd) && e.booted():
		return "systemctl status dbus.service"
	case errors.Is(err, control.ErrNoSystemd):
		return "clusterctl needs a machine that was booted with systemd; \"clusterctl generate\" works without it"
	}
	return ""
}
