package lab

import (
	"net"
	"testing"

	"github.com/godbus/dbus/v5"
)

// Bus returns a connection to the system bus of the machine, as root. The connection is closed at the end of the test.
func (m *Machine) Bus(t testing.TB) *dbus.Conn {
	t.Helper()
	stream, err := net.Dial("unix", m.Root()+"/run/dbus/system_bus_socket")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := dbus.NewConn(stream)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.Auth([]dbus.Auth{dbus.AuthExternal("0")}); err != nil {
		t.Fatalf("connecting to the bus of %s: %v", m.Name(), err)
	}
	if err := conn.Hello(); err != nil {
		t.Fatalf("connecting to the bus of %s: %v", m.Name(), err)
	}
	return conn
}
