package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/godbus/dbus/v5"
)

// These errors are for [errors.Is]. The text of an error that wraps one of them names the operation and the unit.
var (
	// ErrNoSystemd means that the machine was not booted with systemd, or that neither PID 1 nor the bus answers.
	ErrNoSystemd = errors.New("systemd is not running here")
	// ErrPermission means that systemd, polkit or the bus refused the caller.
	ErrPermission = errors.New("permission denied")
	// ErrNotFound means that the unit does not exist.
	ErrNotFound = errors.New("unit not found")
	// ErrMasked means that the unit is masked: its file is a link to /dev/null.
	ErrMasked = errors.New("unit is masked")
	// ErrBadUnit means that the file of the unit cannot be loaded.
	ErrBadUnit = errors.New("unit cannot be loaded")
	// ErrConflict means that the unit has a queued job, which a job with mode [Fail] must not replace.
	ErrConflict = errors.New("another job is queued")
	// ErrNoSpace means that /run has too little space for systemd to read its units again.
	ErrNoSpace = errors.New("no space left in /run")
	// ErrLost means that the connection was lost and could not be replaced.
	ErrLost = errors.New("connection to systemd lost")
)

// busErrors maps the names of D-Bus errors to the errors that callers distinguish (sd-bus, bus-common-errors.h).
var busErrors = map[string]error{
	"org.freedesktop.DBus.Error.AccessDenied":                     ErrPermission,
	"org.freedesktop.DBus.Error.AuthFailed":                       ErrPermission,
	"org.freedesktop.DBus.Error.InteractiveAuthorizationRequired": ErrPermission,
	"org.freedesktop.systemd1.NoSuchUnit":                         ErrNotFound,
	"org.freedesktop.systemd1.UnitMasked":                         ErrMasked,
	"org.freedesktop.systemd1.BadUnitSetting":                     ErrBadUnit,
	"org.freedesktop.systemd1.LoadFailed":                         ErrBadUnit,
	"org.freedesktop.systemd1.TransactionIsDestructive":           ErrConflict,
	"org.freedesktop.systemd1.DiskFull":                           ErrNoSpace,
}

// busError is an error that systemd or the bus returned: its sentence, and an error for [errors.Is] or nil.
type busError struct {
	text string
	kind error
}

func (e *busError) Error() string { return e.text }
func (e *busError) Unwrap() error { return e.kind }

// translate turns an error of godbus into an error of this package. The caller adds which operation failed.
func translate(err error) error {
	var answer dbus.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrLost), errors.Is(err, ErrNoSystemd):
		return err // already translated
	case errors.As(err, &answer):
		text := strings.TrimRight(answer.Error(), ".\n")
		kind := busErrors[answer.Name]
		if text == "" || text == answer.Name {
			text = "systemd answered with an error"
			if kind != nil {
				text = kind.Error()
			}
		}
		return &busError{text: lowerFirst(text), kind: kind}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case lost(err):
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	return err
}

// lost reports whether the connection broke, so that it is unknown whether the call arrived.
func lost(err error) bool {
	var op *net.OpError
	return errors.Is(err, dbus.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.As(err, &op)
}

// absent reports whether the bus answered because PID 1 was re-executing itself: PID 1's name had no owner, or PID 1 left
// the bus before it replied. PID 1 flushes its replies before it leaves, so a call without a reply was not carried out.
func absent(err error) bool {
	var answer dbus.Error
	if !errors.As(err, &answer) {
		return false
	}
	switch answer.Name {
	case "org.freedesktop.DBus.Error.NameHasNoOwner", "org.freedesktop.DBus.Error.ServiceUnknown",
		"org.freedesktop.DBus.Error.NoReply":
		return true
	}
	return false
}

// lowerFirst returns a sentence of systemd with a small first letter, so that it can follow a colon. A word in capitals or
// with a dot, such as the name of a unit, stays as it is.
func lowerFirst(s string) string {
	word, _, _ := strings.Cut(s, " ")
	if strings.Contains(word, ".") || strings.ToUpper(word) == word {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
