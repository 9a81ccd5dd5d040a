package kit

import (
	"testing"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"

	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// Bus holds a connection to the system bus of a machine, and the manager object of systemd.
type Bus struct {
	conn    *dbus.Conn
	manager dbus.BusObject
}

// SystemdName is the bus name of systemd.
const SystemdName = "org.freedesktop.systemd1"

// DialBus connects to the system bus of a machine, and subscribes to systemd's signals.
func DialBus(t testing.TB, m *Machine) *Bus {
	t.Helper()
	conn := m.Bus(t)
	b := &Bus{conn: conn, manager: conn.Object(SystemdName, "/org/freedesktop/systemd1")}
	if err := b.Call("Subscribe"); err != nil {
		t.Fatalf("subscribing to systemd's signals: %v", err)
	}
	return b
}

// Status holds properties of a unit, with the values that systemd has reported last.
type Status struct {
	Unit, Active, Sub, Text string
	PID, Restarts           uint32
	Exit                    int32 // ExecMainStatus, the exit status of the last main process
}

// Watch sends the current status of each unit to the channel that it returns. After each change of a unit, Watch sends
// the new status, until the test ends.
func (b *Bus) Watch(t testing.TB, units ...string) <-chan Status {
	t.Helper()
	signals := make(chan *dbus.Signal, 4096) // if this channel is full, godbus waits and does not drop signals
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
			// For each change, systemd sends two signals: the first with properties of the service, the second with
			// properties of the unit.
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

// The method apply copies the properties into s.
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

// RunsOther returns a function that reports whether a unit is active and has a main process other than pid.
func RunsOther(pid int) func(Status) bool {
	return func(s Status) bool { return s.IsActive() && s.PID != 0 && int(s.PID) != pid }
}

// Await waits until f returns true for the current status of every unit. The parameter condition describes f in the
// failure text.
func (b *Bus) Await(t testing.TB, condition string, f func(Status) bool, units ...string) {
	t.Helper()
	last := make(map[string]Status)
	ReadUntil(t, condition, b.Watch(t, units...), func(s Status) bool {
		last[s.Unit] = s
		all := len(last) == len(units)
		for _, s := range last {
			all = all && f(s)
		}
		return all
	})
}

// ReadUntil reads statuses from changes until f returns true for a status, and returns all statuses that it has read. The
// parameter condition describes f in the failure text.
func ReadUntil(t testing.TB, condition string, changes <-chan Status, f func(Status) bool) []Status {
	t.Helper()
	ctx, cancel := patience.WithTimeout(t.Context(), EventTimeout)
	defer cancel()
	var all []Status
	for {
		select {
		case s := <-changes:
			if all = append(all, s); f(s) {
				return all
			}
		case <-ctx.Done():
			t.Fatalf("timeout while waiting until %s; systemd has reported: %v", condition, all)
		}
	}
}

// Call calls a method of systemd's manager object.
func (b *Bus) Call(method string, args ...any) error {
	return b.manager.Call(SystemdName+".Manager."+method, 0, args...).Err
}
