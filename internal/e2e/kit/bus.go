package kit

import (
	"testing"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"

	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// Bus is a connection to the system bus of a machine, with the manager object of its systemd.
type Bus struct {
	conn    *dbus.Conn
	manager dbus.BusObject
}

// SystemdName is the name of systemd on the bus.
const SystemdName = "org.freedesktop.systemd1"

// DialBus connects to the system bus of a machine, and subscribes to the signals of systemd.
func DialBus(t testing.TB, m *Machine) *Bus {
	t.Helper()
	conn := m.Bus(t)
	b := &Bus{conn: conn, manager: conn.Object(SystemdName, "/org/freedesktop/systemd1")}
	if err := b.Call("Subscribe"); err != nil {
		t.Fatalf("subscribing: %v", err)
	}
	return b
}

// Status holds the properties of a unit that systemd has reported last.
type Status struct {
	Unit, Active, Sub, Text string
	PID, Restarts           uint32
	Exit                    int32 // ExecMainStatus, the exit status of the last main process
}

// Watch returns a channel that receives the status of each unit, and then every change, until the test ends.
func (b *Bus) Watch(t testing.TB, units ...string) <-chan Status {
	t.Helper()
	signals := make(chan *dbus.Signal, 4096) // while this channel is full, godbus stops reading and drops nothing
	b.conn.Signal(signals)
	now := make(map[dbus.ObjectPath]*Status)
	out := make(chan Status, 4096)
	for _, u := range units {
		p := dbus.ObjectPath("/org/freedesktop/systemd1/unit/" + sd.PathBusEscape(u))
		err := b.conn.AddMatchSignal(dbus.WithMatchObjectPath(p), dbus.WithMatchMember("PropertiesChanged"))
		if err != nil {
			t.Fatalf("watching %s: %v", u, err)
		}
		var props map[string]dbus.Variant
		if err := b.conn.Object(SystemdName, p).Call("org.freedesktop.DBus.Properties.GetAll", 0, "").Store(&props); err != nil {
			t.Fatalf("reading the properties of %s: %v", u, err)
		}
		now[p] = &Status{Unit: u}
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
			// systemd sends a change in two signals: first the properties of the service, then the properties of the unit.
			iface, _ := s.Body[0].(string)
			if props, ok := s.Body[1].(map[string]dbus.Variant); ok {
				st.apply(props)
			}
			if iface == SystemdName+".Unit" {
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

// apply copies changed properties into the status.
func (s *Status) apply(props map[string]dbus.Variant) {
	for name, v := range props {
		switch name {
		case "ActiveState":
			s.Active, _ = v.Value().(string)
		case "SubState":
			s.Sub, _ = v.Value().(string)
		case "StatusText":
			s.Text, _ = v.Value().(string)
		case "MainPID":
			s.PID, _ = v.Value().(uint32)
		case "NRestarts":
			s.Restarts, _ = v.Value().(uint32)
		case "ExecMainStatus":
			s.Exit, _ = v.Value().(int32)
		}
	}
}

// IsActive reports whether the unit is active.
func (s Status) IsActive() bool { return s.Active == "active" }

// RunsOther returns a condition that holds when the unit is active and its main process is not pid.
func RunsOther(pid int) func(Status) bool {
	return func(s Status) bool { return s.IsActive() && s.PID != 0 && int(s.PID) != pid }
}

// Await waits until the latest status of each unit meets the condition.
func (b *Bus) Await(t testing.TB, what string, is func(Status) bool, units ...string) {
	t.Helper()
	last := make(map[string]Status)
	ReadUntil(t, what, b.Watch(t, units...), func(s Status) bool {
		last[s.Unit] = s
		all := len(last) == len(units)
		for _, s := range last {
			all = all && is(s)
		}
		return all
	})
}

// ReadUntil reads changes until one of them meets the condition, and returns all changes that it has read.
func ReadUntil(t testing.TB, what string, changes <-chan Status, is func(Status) bool) []Status {
	t.Helper()
	ctx, cancel := patience.WithTimeout(t.Context(), EventTimeout)
	defer cancel()
	var all []Status
	for {
		select {
		case s := <-changes:
			if all = append(all, s); is(s) {
				return all
			}
		case <-ctx.Done():
			t.Fatalf("waiting until %s; reported: %v", what, all)
		}
	}
}

// Call calls a method of systemd's manager.
func (b *Bus) Call(method string, args ...any) error {
	return b.manager.Call(SystemdName+".Manager."+method, 0, args...).Err
}
