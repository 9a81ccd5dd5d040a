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

// The exit statuses. They are API, and the manual page explains them.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotReached  = 3
	exitPermission  = 4
	exitInterrupted = 130
)

// exitCode is the one place where an error becomes a number.
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

// report prints an error as this program does everywhere: what is wrong, the log if there is one, then what to type.
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

// withoutReader drops the error of a write to a pipe whose reader has ended, as head(1) does early.
func withoutReader(err error) error {
	if err == nil {
		return nil
	}
	var left []error
	for _, one := range fault.Flatten(err) {
		var write *fs.PathError
		if !errors.As(one, &write) || write.Path != "/dev/stdout" || !errors.Is(write, syscall.EPIPE) {
			left = append(left, one)
		}
	}
	if len(left) == len(fault.Flatten(err)) {
		return err
	}
	return errors.Join(left...)
}

// interruptedError is what remains of the errors of a command that was interrupted: that each of its steps was canceled
// says no more.
type interruptedError struct{}

func (interruptedError) Error() string { return "interrupted" }
func (interruptedError) Unwrap() error { return context.Canceled }

// interrupted leaves of an error what is not the interruption itself, such as that not all could be taken back.
func interrupted(err error) error {
	all := []error{interruptedError{}}
	for _, one := range fault.Flatten(err) {
		if !errors.Is(one, context.Canceled) {
			all = append(all, one)
		}
	}
	return errors.Join(all...)
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
		return e.sudoHint()
	case errors.Is(err, control.ErrNoSystemd) && e.booted():
		return "systemctl status dbus.service"
	case errors.Is(err, control.ErrNoSystemd):
		return "clusterctl needs a machine that was booted with systemd; \"clusterctl generate\" works without it"
	}
	return ""
}

// hintForUnit is for what keeps a job from being done.
func hintForUnit(err error) string {
	var refused *control.RefusedError
	var instance *control.InstanceError
	switch {
	case errors.As(err, &refused) && errors.Is(err, control.ErrMasked):
		return "sudo systemctl unmask " + text.Shell(refused.Unit)
	case errors.As(err, &refused) && errors.Is(err, control.ErrConflict):
		return "systemctl list-jobs, and try again when it has ended"
	case errors.As(err, &instance) && instance.State.Load == control.Masked:
		return "sudo systemctl unmask " + text.Shell(instance.Unit)
	}
	return ""
}

// hintForMissing names the app that may have been meant.
func hintForMissing(err *install.NotInstalledError) string {
	var names []string
	for _, n := range err.Apps {
		names = append(names, string(n))
	}
	// Of a file that was installed, PM2 takes the file's name too.
	if made := resolve.AppName(string(err.App)); made != string(err.App) && slices.Contains(names, made) {
		return "did you mean " + made + "?"
	}
	if like := text.Nearest(string(err.App), names); like != "" {
		return "did you mean " + like + "?"
	}
	if len(names) > 0 {
		return "clusterctl ls lists the apps"
	}
	return "no app is installed here yet; clusterctl install FILE does that"
}
