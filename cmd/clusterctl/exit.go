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
	"github.com/clusterctl/clusterctl/internal/resolve"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// The exit statuses are an API. The manual page explains them.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotReached  = 3
	exitPermission  = 4
	exitInterrupted = 130
)

// exitCode returns the exit status for an error.
func exitCode(err error) int {
	var (
		usage      *fault.UsageError
		field      *units.FieldError
		notReached *fault.NotReached
	)
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &usage), errors.As(err, &field):
		return exitUsage
	case errors.As(err, &notReached):
		return exitNotReached
	case errors.Is(err, control.ErrPermission), errors.Is(err, fs.ErrPermission):
		return exitPermission
	}
	return exitFailed
}

// report prints each error: what is wrong, the last log lines if there are any, and the hint.
func (e *env) report(err error) {
	for _, one := range fault.Flatten(err) {
		fmt.Fprintf(e.stderr, "clusterctl: %s\n", text.Printable(one.Error()))
		var notReached *fault.NotReached
		if errors.As(one, &notReached) && len(notReached.Log) > 0 {
			fmt.Fprintln(e.stderr, "clusterctl: its last log lines:")
			for _, line := range notReached.Log {
				fmt.Fprintf(e.stderr, "    %s\n", text.Printable(line))
			}
		}
		if hint := e.hintFor(one); hint != "" {
			for line := range strings.Lines(hint) {
				fmt.Fprintf(e.stderr, "clusterctl: hint: %s\n", text.Printable(strings.TrimRight(line, "\n")))
			}
		}
	}
}

// withoutReader drops the error of a write to a pipe whose reader has ended. head(1) ends early, for example.
func withoutReader(err error) error {
	if err == nil {
		return nil
	}
	return errors.Join(slices.DeleteFunc(fault.Flatten(err), func(one error) bool {
		var write *fs.PathError
		return errors.As(one, &write) && write.Path == "/dev/stdout" && errors.Is(write, syscall.EPIPE)
	})...)
}

// interruptedError replaces the errors of all steps that an interruption has canceled.
type interruptedError struct{}

func (interruptedError) Error() string { return "interrupted" }
func (interruptedError) Unwrap() error { return context.Canceled }

// interrupted returns an interruptedError with the errors that have another cause, such as a failed undo.
func interrupted(err error) error {
	others := slices.DeleteFunc(fault.Flatten(err), func(one error) bool { return errors.Is(one, context.Canceled) })
	return errors.Join(append([]error{interruptedError{}}, others...)...)
}

func (e *env) hintFor(err error) string {
	var (
		field *units.FieldError
		gone  *install.NotInstalledError
	)
	switch {
	case fault.Hint(err) != "":
		return fault.Hint(err)
	case errors.As(err, &field):
		return field.Hint
	case errors.As(err, &gone):
		return hintForMissing(gone)
	case hintForUnit(err) != "":
		return hintForUnit(err)
	case errors.Is(err, control.ErrPermission), errors.Is(err, fs.ErrPermission):
		return sudoHint(e.args)
	case errors.Is(err, control.ErrNoSystemd) && e.booted():
		return "systemctl status dbus.service"
	case errors.Is(err, control.ErrNoSystemd):
		return "clusterctl needs a machine that was booted with systemd; \"clusterctl generate\" works without it"
	}
	return ""
}

// hintForUnit returns a hint for a unit whose job systemd refuses, or "".
func hintForUnit(err error) string {
	var refused *control.RefusedError
	var instance *control.InstanceError
	switch {
	case errors.As(err, &refused) && errors.Is(err, control.ErrMasked):
		return "sudo systemctl unmask " + text.Shell(refused.Unit)
	case errors.As(err, &refused) && errors.Is(err, control.ErrConflict):
		return "systemctl list-jobs shows the other job; try again when it has ended"
	case errors.As(err, &instance) && instance.State.Load == control.Masked:
		return "sudo systemctl unmask " + text.Shell(instance.Unit)
	}
	return ""
}

// hintForMissing returns a hint with the app that the user may have meant.
func hintForMissing(err *install.NotInstalledError) string {
	names := asStrings(err.Apps)
	// PM2 also accepts the name of the file, such as shop.js.
	if made := resolve.AppName(string(err.App)); made != string(err.App) && slices.Contains(names, made) {
		return "did you mean " + made + "?"
	}
	if like := text.Nearest(string(err.App), names); like != "" {
		return "did you mean " + like + "?"
	}
	if len(names) > 0 {
		return "clusterctl ls lists the apps"
	}
	return noAppsHint
}
