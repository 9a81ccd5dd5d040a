package resolve

import (
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/units"
)

// TestSetOptions checks which socket options in a report become options of the app.
func TestSetOptions(t *testing.T) {
	option := func(name, value string) string { return `{"name":"` + name + `",` + value + `}` }
	options := func(list ...string) string { return listening + `,"options":[` + strings.Join(list, ",") + `]` }
	keep := option("SO_KEEPALIVE", `"number":1`)
	for _, c := range []struct{ listen, report, want string }{
		{"8080", binds(bind("inet", "stream", "0.0.0.0", "8080", options(keep, option("TCP_KEEPIDLE", `"number":33`)))),
			"KeepAlive=yes KeepAliveTimeSec=33"},
		{"80:8080", binds(bind("inet", "stream", "0.0.0.0", "8080", options(keep))), "KeepAlive=yes"},
		{"8080", binds(bind("inet", "stream", "0.0.0.0", "9090", options(keep))), ""},
		{"8080", binds(bind("inet", "dgram", "0.0.0.0", "8080", options(keep))), ""},
		{"8080", binds(bind("inet", "stream", "0.0.0.0", "8080",
			options(option("TCP_NODELAY", `"number":1`), option("TCP_USER_TIMEOUT", `"number":1`)))), ""},
		// The user of the program can write the report, and PID 1 has all capabilities.
		{"8080", binds(bind("inet", "stream", "0.0.0.0", "8080",
			options(option("SO_MARK", `"number":1`), option("IP_TRANSPARENT", `"number":1`)))), ""},
		{"8080 admin=9090", binds(bind("inet", "stream", "0.0.0.0", "9090", options(keep))), "admin:KeepAlive=yes"},
		{"0.0.0.0:80 [::]:80", binds(bind("inet", "stream", "0.0.0.0", "80", options(keep)),
			bind("inet6", "stream", "::", "80", options(keep))), "KeepAlive=yes"},
		{"udp:53", binds(bind("inet", "dgram", "0.0.0.0", "53", options(option("SO_RCVBUF", `"number":30000`)))), "ReceiveBuffer=30000"},
	} {
		w := newWorld(t)
		a := units.App{Name: "web", Command: []string{"/bin/true"}, SocketOptions: []units.SocketOption{{Key: "IPTTL", Value: "9"}}}
		for word := range strings.FieldsSeq(c.listen) {
			l, err := units.ParseListener(word)
			if err != nil {
				t.Fatal(err)
			}
			a.Listen = append(a.Listen, l)
		}
		w.setOptions(&a, reportOf(t, c.report))
		var got []string
		for _, o := range a.SocketOptions {
			got = append(got, o.String())
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s, %s: got %q, want %q", c.listen, c.report, got, c.want)
		}
		if err := a.Validate(); err != nil {
			t.Errorf("%s: the app is invalid: %v", c.want, err)
		}
	}
}

// TestCheckMulticast checks that a socket in a multicast group does not become a listener, and that --listen with the port
// of this socket is an error.
func TestCheckMulticast(t *testing.T) {
	r := reportOf(t, binds(bind("inet", "dgram", "0.0.0.0", "5353", `,"multicast":true`),
		bind("inet6", "dgram", "::", "5353", `,"multicast":true`), bind("inet", "stream", "0.0.0.0", "80", listening)))
	w := newWorld(t)
	a := units.App{Name: "web", Command: []string{"/bin/true"}}
	if a, err := w.applyReport(a, r); err != nil || len(a.Listen) != 1 || a.Listen[0].Port != 80 ||
		strings.Count(w.notes.String(), "joins a multicast group on UDP port 5353, so each instance opens this socket itself\n") != 1 {
		t.Errorf("got the listeners %v, error %v, notes:\n%s", a.Listen, err, w.notes.String())
	}
	a.Listen = []units.Listener{{Network: units.UDP, Port: 5353}}
	_, err := w.applyReport(a, r)
	if err == nil || isUsage(err) || fault.Hint(err) != "omit --listen udp:5353, so that each instance has its own socket" {
		t.Errorf("got error %v, hint %q", err, fault.Hint(err))
	}
}
