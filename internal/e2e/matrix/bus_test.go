//go:build lab

package matrix

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

const manager = "org.freedesktop.systemd1"

// status is what the tests watch of a unit.
type status struct {
	active, text string
	pid          uint32
	exit         int32 // how the last main process exited
}

func (s *status) apply(props map[string]dbus.Variant) {
	for name, v := range props {
		switch name {
		case "ActiveState":
			s.active, _ = v.Value().(string)
		case "StatusText":
			s.text, _ = v.Value().(string)
		case "ExecMainStatus":
			s.exit, _ = v.Value().(int32)
		case "MainPID":
			s.pid, _ = v.Value().(uint32)
		}
	}
}

// watch reports what a unit is, and then each change of it, until the test ends.
func watch(t testing.TB, m *lab.Machine, unit string) <-chan status {
	t.Helper()
	conn := m.Bus(t)
	if err := conn.Object(manager, "/org/freedesktop/systemd1").Call(manager+".Manager.Subscribe", 0).Err; err != nil {
		t.Fatalf("subscribing: %v", err)
	}
	signals := make(chan *dbus.Signal, 4096) // godbus reads nothing while it is full
	conn.Signal(signals)
	p := dbus.ObjectPath("/org/freedesktop/systemd1/unit/" + sd.PathBusEscape(unit))
	if err := conn.AddMatchSignal(dbus.WithMatchObjectPath(p), dbus.WithMatchMember("PropertiesChanged")); err != nil {
		t.Fatalf("watching %s: %v", unit, err)
	}
	var now status
	var props map[string]dbus.Variant
	if err := conn.Object(manager, p).Call("org.freedesktop.DBus.Properties.GetAll", 0, "").Store(&props); err != nil {
		t.Fatalf("looking at %s: %v", unit, err)
	}
	now.apply(props)
	out := make(chan status, 4096)
	out <- now
	go func() {
		defer close(out)
		for s := range signals {
			if len(s.Body) != 3 {
				continue
			}
			if props, ok := s.Body[1].(map[string]dbus.Variant); ok {
				now.apply(props)
				select {
				case out <- now:
				case <-t.Context().Done():
					return
				}
			}
		}
	}()
	return out
}

// await reads changes until one fulfils the condition, and gives all that it read.
func await(t testing.TB, what string, changes <-chan status, is func(status) bool) []status {
	t.Helper()
	ctx, cancel := patience.WithTimeout(t.Context(), eventTimeout)
	defer cancel()
	var all []status
	for {
		select {
		case s := <-changes:
			if all = append(all, s); is(s) {
				return all
			}
		case <-ctx.Done():
			t.Fatalf("waiting until %s; seen: %v", what, all)
		}
	}
}
