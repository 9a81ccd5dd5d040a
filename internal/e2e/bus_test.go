//go:build lab

package e2e

import (
	"testing"
	"time"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// eventTimeout bounds the wait for something that systemd will report.
const eventTimeout = 5 * time.Minute

// bus is a connection of the test to the system bus of a machine, and to its systemd.
type bus struct {
	conn    *dbus.Conn
	manager dbus.BusObject
}

const systemdBus = "org.freedesktop.systemd1"

func dialBus(t testing.TB, m *lab.Machine) *bus {
	t.Helper()
	conn := m.Bus(t)
	b := &bus{conn: conn, manager: conn.Object(systemdBus, "/org/freedesktop/systemd1")}
	if err := b.manager.Call(systemdBus+".Manager.Subscribe", 0).Err; err != nil {
		t.Fatalf("subscribing: %v", err)
	}
	return b
}

// status is what the tests watch of a unit.
type status struct {
	unit, active, sub string
	pid, nRestarts    uint32
	exit              int32 // how the last main process exited
}

// watch begins to report what the units are, and then each change of them, until the test ends.
func (b *bus) watch(t testing.TB, units ...string) <-chan status {
	t.Helper()
	signals := make(chan *dbus.Signal, 4096) // godbus drops nothing and reads nothing while it is full
	b.conn.Signal(signals)
	now := make(map[dbus.ObjectPath]*status)
	out := make(chan status, 4096)
	for _, u := range units {
		p := dbus.ObjectPath("/org/freedesktop/systemd1/unit/" + sd.PathBusEscape(u))
		err := b.conn.AddMatchSignal(dbus.WithMatchObjectPath(p), dbus.WithMatchMember("PropertiesChanged"))
		if err != nil {
			t.Fatalf("watching %s: %v", u, err)
		}
		var props map[string]dbus.Variant
		if err := b.conn.Object(systemdBus, p).Call("org.freedesktop.DBus.Properties.GetAll", 0, "").Store(&props); err != nil {
			t.Fatalf("looking at %s: %v", u, err)
		}
		now[p] = &status{unit: u}
		now[p].apply(props)
		out <- *now[p]
	}
	go func() {
		defer close(out)
		for s := range signals {
			st := now[s.Path]
			if st == nil || len(s.Body) != 3 {
				continue
			}
			// A change comes in two parts, that of the service first; only with the second it is whole.
			iface, _ := s.Body[0].(string)
			if props, ok := s.Body[1].(map[string]dbus.Variant); ok {
				st.apply(props)
			}
			if iface == systemdBus+".Unit" {
				select {
				case out <- *st:
				case <-t.Context().Done():
					return
				}
			}
		}
	}()
	return out
}

// apply takes over what has changed.
func (s *status) apply(props map[string]dbus.Variant) {
	for name, v := range props {
		switch name {
		case "ActiveState":
			s.active, _ = v.Value().(string)
		case "SubState":
			s.sub, _ = v.Value().(string)
		case "MainPID":
			s.pid, _ = v.Value().(uint32)
		case "NRestarts":
			s.nRestarts, _ = v.Value().(uint32)
		case "ExecMainStatus":
			s.exit, _ = v.Value().(int32)
		}
	}
}

// await waits until each of the units has been seen in a state that fulfils the condition, at the same time.
func (b *bus) await(t testing.TB, what string, is func(status) bool, units ...string) {
	t.Helper()
	ctx, cancel := patience.WithTimeout(t.Context(), eventTimeout)
	defer cancel()
	last := make(map[string]status)
	changes := b.watch(t, units...)
	for {
		select {
		case s := <-changes:
			last[s.unit] = s
		case <-ctx.Done():
			t.Fatalf("waiting until %s: %v", what, last)
		}
		all := len(last) == len(units)
		for _, s := range last {
			all = all && is(s)
		}
		if all {
			return
		}
	}
}

func running(s status) bool { return s.active == "active" }
