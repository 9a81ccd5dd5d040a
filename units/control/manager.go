package control

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"github.com/godbus/dbus/v5"
)

// Version returns the major version of systemd, for example 252 for "252.39-1~deb12u1".
func (c *Conn) Version(ctx context.Context) (int, error) {
	var v string
	if err := c.property(ctx, managerPath, manager, "Version", &v); err != nil {
		return 0, fmt.Errorf("reading the version of systemd: %w", err)
	}
	return parseVersion(v)
}

// parseVersion returns the number at the start of a version. The known forms are "systemd 252", "v252" and
// "252.39-1~deb12u1".
func parseVersion(s string) (int, error) {
	t := strings.TrimPrefix(strings.TrimPrefix(s, "systemd "), "v")
	end := 0
	for end < len(t) && t[end] >= '0' && t[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(t[:end])
	if err != nil || n < 1 {
		return 0, fmt.Errorf("systemd's version %q is not a number", s)
	}
	return n, nil
}

// UnitPaths returns the directories in which systemd looks for unit files, in the order of the search.
func (c *Conn) UnitPaths(ctx context.Context) ([]string, error) {
	var paths []string
	if err := c.property(ctx, managerPath, manager, "UnitPath", &paths); err != nil {
		return nil, fmt.Errorf("reading the unit path of systemd: %w", err)
	}
	return paths, nil
}

// Reload makes systemd read all unit files again, like systemctl daemon-reload. Reload returns when systemd has read the
// files.
func (c *Conn) Reload(ctx context.Context) error {
	// PID 1 replies to this call after the reload, both on the bus and on its private socket.
	if err := c.call(ctx, request{managerPath, manager + ".Reload", nil}); err != nil {
		return fmt.Errorf("reloading systemd: %w", err)
	}
	return nil
}

// Enable creates the symbolic links that the [Install] sections of the units describe. Enable does not reload systemd.
func (c *Conn) Enable(ctx context.Context, units ...string) error {
	if len(units) == 0 {
		return nil
	}
	const runtime, force = false, false
	if err := c.call(ctx, request{managerPath, manager + ".EnableUnitFiles", []any{units, runtime, force}}); err != nil {
		return fmt.Errorf("enabling %s: %w", strings.Join(units, ", "), err)
	}
	return nil
}

// Disable removes the symbolic links that Enable created, even if the file of a unit no longer exists. Disable does not
// reload systemd. For units without a file and without links, systemd 252 and later return an error, which Disable ignores.
func (c *Conn) Disable(ctx context.Context, units ...string) error {
	if len(units) == 0 {
		return nil
	}
	const runtime = false
	err := c.call(ctx, request{managerPath, manager + ".DisableUnitFiles", []any{units, runtime}})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("disabling %s: %w", strings.Join(units, ", "), err)
	}
	return nil
}

// ResetFailed resets the failed state, the restart counter and the start limit of the units. A unit that is not loaded has
// nothing to reset, so ResetFailed ignores it.
func (c *Conn) ResetFailed(ctx context.Context, units ...string) error {
	rs := make([]request, len(units))
	for i, u := range units {
		rs[i] = request{managerPath, manager + ".ResetFailedUnit", []any{u}}
	}
	calls, err := c.roundTrip(ctx, rs)
	if err != nil {
		return fmt.Errorf("resetting %s: %w", strings.Join(units, ", "), err)
	}
	for i, call := range calls {
		if err := translate(call.Err); err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("resetting %s: %w", units[i], err)
		}
	}
	return nil
}

// DynamicUser returns the user ID that systemd has assigned to a dynamic user (DynamicUser=). DynamicUser returns an error
// if no unit with this user runs.
func (c *Conn) DynamicUser(ctx context.Context, name string) (uid uint32, err error) {
	if err := c.call(ctx, request{managerPath, manager + ".LookupDynamicUserByName", []any{name}}, &uid); err != nil {
		return 0, fmt.Errorf("looking up the dynamic user %s: %w", name, err)
	}
	return uid, nil
}

// Kill sends a signal to all processes of the unit, like systemctl kill.
func (c *Conn) Kill(ctx context.Context, unit string, signal syscall.Signal) error {
	return c.kill(ctx, unit, "all", signal)
}

// KillMain sends a signal to the main process of the unit. KillMain returns an error if the unit has no main process.
func (c *Conn) KillMain(ctx context.Context, unit string, signal syscall.Signal) error {
	return c.kill(ctx, unit, "main", signal)
}

func (c *Conn) kill(ctx context.Context, unit, who string, signal syscall.Signal) error {
	if err := c.call(ctx, request{managerPath, manager + ".KillUnit", []any{unit, who, int32(signal)}}); err != nil {
		return fmt.Errorf("sending %v to %s: %w", signal, unit, err)
	}
	return nil
}

// Loaded returns the names of the units in the memory of PID 1 that match any of the patterns, sorted. A pattern is a
// glob(7) such as "shop@*.service". Loaded does not load units.
func (c *Conn) Loaded(ctx context.Context, patterns ...string) ([]string, error) {
	rows, err := c.list(ctx, "ListUnitsByPatterns", []string{}, patterns)
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", strings.Join(patterns, ", "), err)
	}
	var names []string
	for _, r := range rows {
		if r.Load == string(Loaded) || r.Active != string(Inactive) {
			names = append(names, r.Name)
		}
	}
	return sortedUnique(names), nil
}

// row is one unit in the replies of the ListUnits methods. Its fields are in the order of the D-Bus type "(ssssssouso)".
type row struct {
	Name, Description, Load, Active, Sub, Following string
	Path                                            dbus.ObjectPath
	JobID                                           uint32
	JobType                                         string
	JobPath                                         dbus.ObjectPath
}

func (c *Conn) list(ctx context.Context, method string, args ...any) ([]row, error) {
	var rows []row
	err := c.call(ctx, request{managerPath, manager + "." + method, args}, &rows)
	return rows, err
}

func (c *Conn) property(ctx context.Context, path dbus.ObjectPath, iface, name string, value any) error {
	var v dbus.Variant
	if err := c.call(ctx, request{path, properties + ".Get", []any{iface, name}}, &v); err != nil {
		return err
	}
	return v.Store(value)
}
