package control

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/godbus/dbus/v5"
)

// BenchmarkStates measures the calls of "ls" to systemd and the decoding of the replies. A fake manager replies to the
// calls.
func BenchmarkStates(b *testing.B) {
	for _, n := range []int{10, 100, 500} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var ended error
			done := make(chan struct{})
			c, err := dialWith(b.Context(), func(context.Context, string) (stream, error) {
				ours, theirs := net.Pipe()
				go func() {
					defer close(done)
					defer theirs.Close()
					ended = fakeManager(theirs)
				}()
				return ours, nil
			})
			if err != nil {
				b.Fatal(err)
			}
			var names []string
			for i := range n {
				names = append(names, fmt.Sprintf("web@%d.service", i+1))
			}
			b.ReportAllocs()
			for b.Loop() {
				states, err := c.States(b.Context(), names)
				if err != nil || len(states) != n || states[n-1].Active != "active" || states[n-1].MainPID != 4711 {
					b.Fatalf("got error %v, states %+v, want %d active units", err, states, n)
				}
			}
			if err := c.Close(); err != nil {
				b.Fatal(err)
			}
			if <-done; ended != nil && !errors.Is(ended, io.EOF) {
				b.Fatal(ended)
			}
		})
	}
}

// fakeManager replies to calls until the other side closes the stream. The manager has no jobs, and its units have as many
// properties as a service of systemd.
func fakeManager(s io.ReadWriter) error {
	props := map[string]dbus.Variant{
		"ActiveState": dbus.MakeVariant("active"), "SubState": dbus.MakeVariant("running"), "LoadState": dbus.MakeVariant("loaded"),
		"MainPID": dbus.MakeVariant(uint32(4711)), "ControlGroup": dbus.MakeVariant("/clusterctl.slice/clusterctl-web.slice/web@1.service"),
	}
	for i := range 300 {
		props[fmt.Sprintf("Other%d", i)] = dbus.MakeVariant(uint64(i))
	}
	in := bufio.NewReader(s)
	for range 2 { // AUTH and BEGIN
		if _, err := in.ReadString('\n'); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(s, "OK 0\r\n"); err != nil {
		return err
	}
	out := bufio.NewWriter(s)
	for {
		call, err := dbus.DecodeMessage(in)
		if err != nil {
			return err
		}
		var body any
		switch member, _ := call.Headers[dbus.FieldMember].Value().(string); member {
		case "Hello":
			body = ":1.1"
		case "ListUnitsByNames":
			body = []row{}
		case "GetAll":
			body = props
		default:
			return fmt.Errorf("unexpected call of %s", member)
		}
		reply := &dbus.Message{Type: dbus.TypeMethodReply, Body: []any{body}, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldReplySerial: dbus.MakeVariant(call.Serial()), dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(body)),
		}}
		if err := reply.EncodeTo(out, binary.LittleEndian); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
}
