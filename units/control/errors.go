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

// The functions of this package return errors that wrap one of these errors, for [errors.Is]. The text of a returned error
// names the operation and the unit.
var (
	// ErrNoSystemd means that the machine was not booted with systemd, or that neither PID 1 nor the bus responds.
	ErrNoSystemd = errors.New("systemd is not running here")
	// ErrPermission means that systemd, polkit or the bus denied the caller access.
	ErrPermission = errors.New("permission denied")
	// ErrNotFound means that the unit does not exist.
	ErrNotFound = errors.New("unit not found")
	// ErrMasked means that the unit is masked: its file is a link to /dev/null.
	ErrMasked = errors.New("unit is masked")
	// ErrBadUnit means that the file of the unit cannot be loaded.
	ErrBadUnit = errors.New("unit cannot be loaded")
	// ErrConflict means that a job with mode [Fail] was refused because another job of the unit is queued.
	ErrConflict = errors.New("another job is queued")
	// ErrNoSpace means that systemd cannot reload its units, because /run has too little free space.
	ErrNoSpace = errors.New("no space left in /run")
	// ErrLost means that the connection was lost and that no new connection could be made.
	ErrLost = errors.New("connection to systemd lost")
)

// busErrors maps names of D-Bus errors to errors of this package (sd-bus, bus-common-errors.h).
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

// busError is an error that systemd or the bus returned. The field text is the message, and the field kind is the error for
// [errors.Is], or nil.
type busError struct {
	text string
	kind error
}

func (e *busError) Error() string { return e.text }
func (e *busError) Unwrap() error { return e.kind }

// The function translate converts an error of godbus to an error of this package. The caller adds the name of the operation.
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
			text = "systemd returned an error"
			if kind != nil {
				text = kind.Error()
			}
		}
		return &busError{text: lowerFirst(text), kind: kind}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case connectionLost(err):
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	return err
}

// connectionLost reports whether the connection broke, so that it is unknown whether PID 1 received the call.
func connectionLost(err error) bool {
	var op *net.OpError
	return errors.Is(err, dbus.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.As(err, &op)
}

// managerAbsent reports whether the bus returned the error because PID 1 was re-executing itself. In that case PID 1 did not
// own its name on the bus, or left the bus before it replied. PID 1 sends its queued replies before it leaves, so a call
// without a reply has had no effect.
func managerAbsent(err error) bool {
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

// lowerFirst returns a sentence with a lower-case first letter, so that it can follow a colon. lowerFirst does not change a
// first word in capitals or with a dot, such as the name of a unit.
func lowerFirst(s string) string {
	word, _, _ := strings.Cut(s, " ")
	if strings.Contains(word, ".") || strings.ToUpper(word) == word {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
