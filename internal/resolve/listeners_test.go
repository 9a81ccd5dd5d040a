package resolve

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/units"
)

// reportOf parses a report in the format of the shim.
func reportOf(t *testing.T, text string) contract.Report {
	t.Helper()
	var r contract.Report
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// The function bind returns the JSON of one entry in the binds of a report. The parameter fields has more fields of the
// entry.
func bind(family, kind, address, port, fields string) string {
	return `{"family":"` + family + `","type":"` + kind + `","address":"` + address + `","port":` + port + fields + `}`
}

const listening = `,"listening":true`

func binds(list ...string) string { return `{"binds":[` + strings.Join(list, ",") + `]}` }

func TestListenersOf(t *testing.T) {
	four := func(address, port string) string { return bind("inet", "stream", address, port, listening) }
	six := func(address, port string) string { return bind("inet6", "stream", address, port, listening) }
	only6 := func(port string) string { return bind("inet6", "stream", "::", port, listening+`,"v6only":true`) }
	for text, want := range map[string]string{
		`{}`:                                 "",
		binds(six("::", "8080")):             "8080",
		binds(only6("8080")):                 "[::]:8080",
		binds(four("0.0.0.0", "8080")):       "0.0.0.0:8080",
		binds(four("127.0.0.1", "8080")):     "127.0.0.1:8080",
		binds(six("::ffff:127.0.0.1", "80")): "127.0.0.1:80",
		binds(bind("inet", "stream", "0.0.0.0", "8080", "")):         "",
		binds(bind("inet", "dgram", "0.0.0.0", "53", "")):            "udp:0.0.0.0:53",
		binds(four("0.0.0.0", "0")):                                  "",
		binds(bind("unix", "stream", "/run/x.sock", "0", listening)): "",
		binds(four("not an address", "80")):                          "",
		binds(four("0.0.0.0", "80"), only6("80")):                    "0.0.0.0:80 [::]:80",
		binds(four("0.0.0.0", "80"), four("0.0.0.0", "80")):          "0.0.0.0:80",
		binds(six("::", "80"), four("0.0.0.0", "80")):                "[::]:80 0.0.0.0:80",
		binds(four("127.0.0.1", "80"), four("0.0.0.0", "80")):        "127.0.0.1:80",
		binds(six("::", "80"), six("::1", "80")):                     "80",
		binds(four("127.0.0.1", "80"), four("127.0.0.2", "80")):      "127.0.0.1:80 127.0.0.2:80",
		binds(six("::", "9000"), six("::", "80")):                    "9000 80",
	} {
		var got []string
		for _, l := range listeners(reportOf(t, text)) {
			got = append(got, l.String())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestProgramError(t *testing.T) {
	one := bind("inet", "stream", "0.0.0.0", "80", listening)
	for text, want := range map[string]string{
		`{}`: "", `{"timed_out":true}`: "", `{"exited":true,"status":"exited/0"}`: "",
		`{"exited":true,"status":"exited/1","binds":[` + one + `]}`: "",
		`{"exited":true,"status":"exited/1"}`:                       "before it listened: exited 1",
		`{"exited":true,"status":"killed/SEGV"}`:                    "before it listened: killed SEGV",
	} {
		err := ProgramError(reportOf(t, text), units.App{}, "x.service")
		if (err == nil) != (want == "") || err != nil && !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: got error %v, want %q", text, err, want)
		}
	}
}

// TestBackgrounded checks that the error for a program that goes into the background has a hint how to run this program in
// the foreground.
func TestBackgrounded(t *testing.T) {
	r := reportOf(t, `{"exited":true,"status":"exited/0","left":["nginx","nginx","sh","a","b"]}`)
	err := ProgramError(r, units.App{Command: []string{"/usr/sbin/nginx"}}, "x.service")
	if err == nil || err.Error() != "x.service: it went into the background: it exited 0, and left nginx, sh, 2 more running" {
		t.Errorf("got error %v, want 3 entries for the processes", err)
	}
	if got := fault.Hint(&fault.NotReached{Err: err}); got != "nginx: run it with -g 'daemon off;'" {
		t.Errorf("got the hint %q", got)
	}
	for _, text := range []string{`{"exited":true,"status":"exited/0","left":[]}`, `{"left":[]}`} {
		if err := ProgramError(reportOf(t, text), units.App{}, "x"); err != nil {
			t.Errorf("%s: got error %v, want none", text, err)
		}
	}
}

// TestApplyReport checks which listeners an app gets from --listen and a report.
func TestApplyReport(t *testing.T) {
	any8080, v4, v6 := bind("inet6", "stream", "::", "8080", listening), bind("inet", "stream", "0.0.0.0", "8080", listening),
		bind("inet6", "stream", "::", "8080", listening+`,"v6only":true`)
	local := bind("inet", "stream", "127.0.0.1", "3000", listening)
	udp := bind("inet", "dgram", "0.0.0.0", "5353", "")
	for _, c := range []struct {
		about, listen, report, want, told, err string
	}{
		{"no --listen, nothing bound", "", binds(), "", "background app", ""},
		{"no --listen, idle", "", `{"idle":true,"took_ms":10500}`, "",
			"the program did not listen within 10s, and is idle; if it listens later: --listen PORT", ""},
		{"no --listen, busy", "", `{"timed_out":true,"took_ms":60000}`, "",
			"was still busy; if it is slow to listen: --listen PORT, or --probe-timeout 5m", ""},
		{"no --listen, ended", "", `{"exited":true,"status":"exited/0","took_ms":1000}`, "",
			"the program ended after 1.0s without listening (exited 0)", ""},
		{"nothing bound in time", "8080", `{"timed_out":true,"took_ms":500}`, "8080",
			"the program did not listen within 500ms; using --listen unchanged", ""},
		{"ended without listening", "8080", `{"exited":true,"status":"exited/0","took_ms":1000}`, "8080",
			"the program ended after 1.0s without listening (exited 0); using --listen unchanged", ""},
		{"the port of the program", "", binds(any8080), "8080", "the program listens on tcp port 8080", ""},
		{"two ports get different names", "", binds(any8080, local), "8080 http-3000=127.0.0.1:3000", "tcp address 127.0.0.1:3000", ""},
		{"both families", "", binds(v4, v6), "0.0.0.0:8080 [::]:8080", "", ""},
		{"a stream and a datagram", "", binds(any8080, udp), "8080 udp:0.0.0.0:5353", "", ""},
		{"the same port", "8080", binds(any8080), "8080", "", ""},
		{"only IPv4", "8080", binds(v4), "0.0.0.0:8080", "becomes IPv4 only", ""},
		{"one socket for each family", "8080", binds(v4, v6), "0.0.0.0:8080 [::]:8080", "one IPv4 and one IPv6 socket", ""},
		{"only IPv6", "8080", binds(v6), "8080", "", ""},
		{"the address of --listen stays", "127.0.0.1:8080", binds(any8080), "127.0.0.1:8080", "", ""},
		{"another port in front", "80:3000", binds(local), "0.0.0.0:80:3000",
			"binds only tcp address 127.0.0.1:3000; --listen 80:3000 opens port 80 to other machines", ""},
		{"only the loopback interface", "3000", binds(local), "127.0.0.1:3000", "to open it to other machines: --listen 0.0.0.0:3000", ""},
		{"both loopbacks", "web=80", binds(bind("inet", "stream", "127.0.0.1", "80", listening),
			bind("inet6", "stream", "::1", "80", listening)), "web=127.0.0.1:80 web=[::1]:80", "--listen web=0.0.0.0:80", ""},
		{"the loopback of IPv6", "80", binds(bind("inet6", "stream", "::1", "80", listening)), "[::1]:80", "--listen [::]:80", ""},
		{"--listen on all addresses", "0.0.0.0:3000", binds(local), "0.0.0.0:3000", "", ""},
		{"datagrams on the loopback", "udp:53", binds(bind("inet", "dgram", "127.0.0.1", "53", "")), "udp:127.0.0.1:53",
			"--listen udp:0.0.0.0:53", ""},
		{"a unix socket in front", "/run/x.sock:3000", binds(local), "/run/x.sock:3000", "", ""},
		{"the Unix socket of the app", "/run/x.sock", binds(local), "/run/x.sock", "", ""},
		{"another mode", "/run/x.sock", binds(bind("unix", "stream", "/run/x.sock", "0", listening+`,"mode":"0777"`)), "/run/x.sock",
			"creates /run/x.sock with mode 0777, clusterctl with mode 0660; to change it: --socket-mode 0777", ""},
		{"a path is found", "", binds(bind("unix", "stream", "/run/x.sock", "0", listening+`,"mode":"0666"`)), "/run/x.sock",
			"clusterctl with mode 0660; to change it: --socket-mode 0666", ""},
		{"a path and a port", "", binds(any8080, bind("unix", "stream", "/run/x.sock", "0", listening)), "8080", "", ""},
		{"a private path", "", binds(bind("unix", "stream", "/tmp/x.sock", "0", listening+`,"private":true`)), "",
			"the program listens on socket /tmp/x.sock, which each instance opens separately, so it becomes a background app", ""},
		{"an abstract name", "", binds(bind("unix", "stream", "@x", "0", listening)), "",
			"the program listens on socket @x, which each instance opens separately", ""},
		{"not the path of the program", "/run/y.sock", binds(bind("unix", "stream", "/run/x.sock", "0", listening)), "", "",
			"does not bind socket /run/y.sock; it binds socket /run/x.sock|use --listen /run/x.sock, or configure the path in the program"},
		{"a path instead of a port", "80", binds(bind("unix", "stream", "/run/x.sock", "0", listening)), "", "",
			"bind port 80, for --listen 80; it binds socket /run/x.sock|use --listen /run/x.sock, or configure the port in the program"},
		{"the name stays", "web=8080", binds(v4), "web=0.0.0.0:8080", "", ""},
		{"datagrams", "udp:5353", binds(udp), "udp:0.0.0.0:5353", "", ""},
		{"not the port of the program", "9000", binds(any8080), "", "",
			"bind port 9000, for --listen 9000; it binds tcp port 8080|use --listen 9000:8080, or configure the port in the program"},
		{"mapped to a port that the program does not bind", "8080:9000", binds(any8080), "", "",
			"does not bind port 9000, for --listen 8080:9000; it binds tcp port 8080|use --listen 8080, or"},
		{"a datagram is not a stream", "5353", binds(udp), "", "", "does not bind port 5353"},
	} {
		w := newWorld(t)
		a := units.App{Name: "x"}
		for _, s := range strings.Fields(c.listen) {
			l, err := units.ParseListener(s)
			if err != nil {
				t.Fatal(err)
			}
			a.Listen = append(a.Listen, l)
		}
		a, err := w.applyReport(a, reportOf(t, c.report))
		var got []string
		for _, l := range a.Listen {
			got = append(got, l.String())
		}
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error()+"|"+fault.Hint(err), c.err) {
				t.Errorf("%s: got %q, error %v, hint %q, want %q", c.about, got, err, fault.Hint(err), c.err)
			}
		case err != nil || strings.Join(got, " ") != c.want || !strings.Contains(w.notes.String(), c.told):
			t.Errorf("%s: got %q, error %v, notes %q, want %q and the note %q",
				c.about, got, err, w.notes.String(), c.want, c.told)
		}
	}
}

// TestApplyReportIsValid checks that applyReport returns a valid app or an error for each report.
func TestApplyReportIsValid(t *testing.T) {
	one := rapid.Custom(func(t *rapid.T) string {
		return bind(rapid.SampledFrom([]string{"inet", "inet6", "unix"}).Draw(t, "family"),
			rapid.SampledFrom([]string{"stream", "dgram"}).Draw(t, "type"),
			rapid.SampledFrom([]string{"0.0.0.0", "::", "127.0.0.1", "::1", "::ffff:10.0.0.1", "", "x"}).Draw(t, "address"),
			rapid.SampledFrom([]string{"0", "80", "81", "65535"}).Draw(t, "port"),
			rapid.SampledFrom([]string{"", listening, listening + `,"v6only":true`}).Draw(t, "more"))
	})
	w := newWorld(t)
	rapid.Check(t, func(rt *rapid.T) {
		a := units.App{Name: "x", Command: []string{"/bin/true"}}
		a, err := w.applyReport(a, reportOf(t, binds(rapid.SliceOfN(one, 0, 4).Draw(rt, "binds")...)))
		if err != nil {
			return
		}
		// A program can bind a datagram socket twice (SO_REUSEADDR), and can bind an IPv6 socket and an IPv4 address with
		// the same port. One socket unit cannot have both listeners, so Validate returns an error.
		odd := slices.ContainsFunc(a.Listen, func(l units.Listener) bool {
			return l.Network == units.UDP || !l.Host.IsValid() || l.Host.Is6()
		})
		if err := a.Validate(); err != nil && !(odd && strings.Contains(err.Error(), "cannot both be bound")) {
			rt.Fatalf("%+v: got error %v, want none", a.Listen, err)
		}
	})
}

// TestListeners checks when a program is probed, and which listeners the app gets.
func TestListeners(t *testing.T) {
	port := units.Listener{Port: 8080}
	shop := units.App{Name: "shop", Command: []string{"/bin/true"}, Instances: units.Count{N: 1}}
	with := func(a units.App, listen ...units.Listener) units.App {
		a.Listen = listen
		return a
	}
	native := with(shop, port)
	native.Activation = units.Native
	held := with(shop, units.Listener{Port: 9090})
	held.Shim.HoldAccept = true
	other := shop
	other.Command = []string{"/bin/false"}
	accept := shop
	accept.Shim.HoldAccept = true
	for _, c := range []struct {
		about     string
		installed *units.App
		app       units.App
		options   ListenOptions
		probed    bool
		listen    string
		hold      bool
		err       string
	}{
		{about: "a new app", app: shop, probed: true, listen: "8080", hold: true},
		{about: "a new app with --listen", app: with(shop, port), probed: true, listen: "8080", hold: true},
		{about: "--drain epoll", app: shop, options: ListenOptions{GivenDrain: true}, probed: true, listen: "8080"},
		{about: "--no-listen", app: shop, options: ListenOptions{None: true}},
		{about: "native", app: native, listen: "8080"},
		{about: "--no-probe", app: with(shop, port), options: ListenOptions{NoProbe: true}, listen: "8080"},
		{about: "--no-probe without --listen", app: shop, options: ListenOptions{NoProbe: true}, err: "listen: missing address"},
		{about: "a dry run", app: shop, options: ListenOptions{DryRun: true}, err: "a dry run does not run the program"},
		{about: "a dry run with --listen", app: with(shop, port), options: ListenOptions{DryRun: true}, listen: "8080"},
		{about: "the same app", installed: &held, app: shop, listen: "9090", hold: true},
		{about: "the same app with --drain epoll", installed: &held, app: shop, options: ListenOptions{GivenDrain: true}, listen: "9090"},
		{about: "the same app with --drain accept", installed: &held, app: accept, options: ListenOptions{GivenDrain: true},
			listen: "9090", hold: true},
		{about: "another program", installed: &held, app: other, probed: true, listen: "8080", hold: true},
		{about: "a background app", installed: &shop, app: shop},
		{about: "a background app with a longer probe", installed: &shop, app: shop, options: ListenOptions{Longer: true}, probed: true,
			listen: "8080", hold: true},
	} {
		w := newWorld(t)
		if c.installed != nil {
			w.install(t, *c.installed)
		}
		probed := false
		a, report, err := w.Listeners(t.Context(), c.app, c.options, func(context.Context, units.App, Times) (contract.Report, error) {
			probed = true
			r := reportOf(t, binds(bind("inet6", "stream", "::", "8080", listening)))
			r.HoldAccept = true
			return r, nil
		})
		var listen []string
		for _, l := range a.Listen {
			listen = append(listen, l.String())
		}
		switch {
		case c.err != "":
			if !isUsage(err) || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: got error %v, want %q", c.about, err, c.err)
			}
		case err != nil || probed != c.probed || (report != nil) != c.probed || strings.Join(listen, " ") != c.listen ||
			a.Shim.HoldAccept != c.hold:
			t.Errorf("%s: got probed %v, listeners %q, hold %v, error %v", c.about, probed, listen, a.Shim.HoldAccept, err)
		}
	}
	failure := errors.New("it cannot be started")
	_, _, err := newWorld(t).Listeners(t.Context(), shop, ListenOptions{},
		func(context.Context, units.App, Times) (contract.Report, error) {
			return contract.Report{}, failure
		})
	if !errors.Is(err, failure) {
		t.Errorf("got error %v, want %v", err, failure)
	}
}
