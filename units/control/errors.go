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

// What can be wrong, for errors.Is. The text of the error that wraps one says which operation and which unit.
var (
	// ErrNoSystemd: the machine was not booted with systemd, or neither PID 1 nor the bus answers.
	ErrNoSystemd = errors.New("systemd is not running here")
	// ErrPermission: systemd, polkit or the bus refused the caller.
	ErrPermission = errors.New("permission denied")
	// ErrNotFound: no such unit.
	ErrNotFound = errors.New("unit not found")
	// ErrMasked: the unit is masked, a link to /dev/null stands in its place.
	ErrMasked = errors.New("unit is masked")
	// ErrBadUnit: the unit's file cannot be loaded.
	ErrBadUnit = errors.New("unit cannot be loaded")
	// ErrConflict: with mode [Fail], another job is queued that this one would replace.
	ErrConflict = errors.New("another job is queued")
	// ErrNoSpace: there is too little space in /run for systemd to read its units again.
	ErrNoSpace = errors.New("no space left in /run")
	// ErrLost: the connection was lost and could not be made anew.
	ErrLost = errors.New("connection to systemd lost")
)

// busErrors gives the names of D-Bus errors that a caller may want to tell apart (sd-bus, bus-common-errors.h).
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

// busError is an answer that said no: systemd's own sentence, with the sentinel that errors.Is finds.
type busError struct {
	text string
	kind error
}

func (e *busError) Error() string { return e.text }
func (e *busError) Unwrap() error { return e.kind }

// translate turns godbus' errors into ours; what operation failed is the caller's to say.
func translate(err error) error {
	var answer dbus.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrLost), errors.Is(err, ErrNoSystemd):
		return err // has been here before
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

// lost says whether the connection broke, so that nobody knows whether the call arrived.
func lost(err error) bool {
	var op *net.OpError
	return errors.Is(err, dbus.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.As(err, &op)
}

// absent says whether the bus answered in place of a PID 1 that was re-executing itself: its name had no owner, or it
// left the bus before it replied. It flushes its replies before it leaves, so a call without a reply was not carried out.
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

// lowerFirst fits systemd's sentences into ours; a unit name at the beginning stays as it is.
func lowerFirst(s string) string {
	word, _, _ := strings.Cut(s, " ")
	if strings.Contains(word, ".") || strings.ToUpper(word) == word {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
