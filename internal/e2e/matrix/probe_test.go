//go:build lab

package matrix

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// TestSeveralPorts installs a program that listens on three ports with different addresses. PID 1 must have a listener
// for each port, and all instances must answer on each port.
func TestSeveralPorts(t *testing.T) {
	m := suite().Shared(t, lab.Workers)
	a := install(t, m, "p-ports", 2, 8601, "ports.js")
	kit.WantOutput(t, a.Output, "probe: the program listens on tcp port 8601", "127.0.0.1:8602", "0.0.0.0:8603")
	for _, p := range []int{8601, 8602, 8603} {
		b := a
		b.Port = p
		wantAllAnswer(t, b, "/hello", hello)
	}
	listeners := m.Sh(t, "ss -H -ltnp | grep -c 'systemd.*pid=1,' ")
	if listeners != "3" {
		t.Errorf("PID 1 has %s listeners, want 3:\n%s", listeners, m.Sh(t, "ss -H -ltnp"))
	}
	run := load.Start(t, m, load.Options{URL: "http://127.0.0.1:8602/hello", Conns: 4, Rate: rate})
	m.Sh(t, "systemctl reload "+a.Name)
	if r := run.Stop(); r.Failed() > 0 {
		t.Errorf("%d requests failed during a reload, want 0: %v", r.Failed(), r)
	}
}

// TestListenerMapping maps a public port, and then a Unix socket, to the port that the program binds (--listen
// PORT:PORT).
func TestListenerMapping(t *testing.T) {
	m := suite().Shared(t, lab.Workers)
	a := install(t, m, "p-map", 2, 8610, portFlags(3000, "--listen", "8610:3000", "node.js")...)
	wantAllAnswer(t, a, "/hello", hello)
	if r := load.Start(t, m, load.Options{URL: "http://127.0.0.1:3000/", Requests: 3}).Wait(); r.Refused != 3 {
		t.Errorf("requests to port 3000, which the program binds: want only refused requests: %v", r)
	}
	const path = "/run/p-unix.sock"
	u := install(t, m, "p-unix", 2, 0, portFlags(3001, "--listen", path+":3001", "node.js")...)
	for _, keep := range []bool{false, true} {
		run := load.Start(t, m, load.Options{URL: "unix:" + path + ":/hello", Conns: 4, KeepAlive: keep, Rate: rate, WorkerHeader: bodies})
		m.Sh(t, "systemctl reload "+u.Name)
		r := run.Stop()
		if by := responsesByPID(t, r, hello); r.Failed() > 0 || len(by) < 2 {
			t.Errorf("keep-alive %v: %d requests failed during a reload, and %d processes answered, want 0 and 2: %v",
				keep, r.Failed(), len(by), r)
		}
	}
	u.Uninstall(t)
	if m.Try("test -e "+path).Code == 0 {
		t.Errorf("%s exists after the uninstall", path)
	}
}

// TestProbeOutcomes installs programs that do not bind exactly one port before the probe ends.
func TestProbeOutcomes(t *testing.T) {
	m := suite().Shared(t, lab.Workers)
	before := takeInventory(t, m)

	t.Run("the program binds nothing", func(t *testing.T) {
		a := install(t, m, "p-background", 2, 0, "--probe-timeout", "1s", "x", "--", "sleep", "infinity")
		kit.WantOutput(t, a.Output, "the program listens on nothing, so it becomes a background app")
		a.PIDs(t)
		if r := m.Try("systemctl cat p-background.socket"); r.Code == 0 {
			t.Error("p-background.socket exists, want no socket unit for a background app")
		}
	})
	t.Run("the program exits at once", func(t *testing.T) {
		r := m.Clusterctl(t, "install", "-n", "p-broken", "broken.py")
		if r.Code != 3 {
			t.Errorf("got exit status %d, want 3", r.Code)
		}
		kit.WantOutput(t, r, "the program ended in the probe", "exited 1", "reading the configuration", "no such database: orders")
	})
	t.Run("the program listens after the end of the probe", func(t *testing.T) {
		a := install(t, m, "p-late", 2, 8620, portFlags(8620, "--probe-timeout", "500ms", "--listen", "127.0.0.1:8620", "late.js")...)
		kit.WantOutput(t, a.Output, "the program did not listen within ", "; using --listen unchanged")
		wantAllAnswer(t, a, "/hello", hello)
	})
	t.Run("the probe waits until the program listens", func(t *testing.T) {
		a := install(t, m, "p-patient", 1, 8621, portFlags(8621, "late.js")...)
		kit.WantOutput(t, a.Output, "the program listens on tcp port 8621")
		wantAllAnswer(t, a, "/hello", hello)
	})
	t.Run("the program binds a port other than the port in --listen", func(t *testing.T) {
		r := m.Clusterctl(t, slices.Concat([]string{"install", "-n", "p-other"}, slowProbe,
			portFlags(8623, "--listen", "8622", "node.js"))...)
		if r.Code == 0 {
			t.Errorf("install with the wrong port succeeded, want an error: %v", r)
		}
		kit.WantOutput(t, r, "the program does not bind port 8622", "hint: use --listen 8622:8623")
		wantAllAnswer(t, install(t, m, "p-other", 1, 8622, portFlags(8623, "--listen", "8622:8623", "node.js")...), "/hello", hello)
	})
	t.Run("--no-listen", func(t *testing.T) {
		// With --no-listen, clusterctl install must not run a probe, so the program must log its line only once.
		a := install(t, m, "p-nolisten", 1, 0, "--no-listen", "x", "--", "/bin/sh", "-c", "echo here I am; exec sleep infinity")
		if strings.Contains(a.Output.Stderr, "probe:") {
			t.Errorf("clusterctl install --no-listen has run a probe:\n%v", a.Output)
		}
		m.AwaitJournal(t, "here I am", "-t", "p-nolisten")
		if n := strings.Count(m.Journal(t, "-t", "p-nolisten", "-o", "cat"), "here I am"); n != 1 {
			t.Errorf("the program has logged its line %d times, want 1", n)
		}
	})
	wantInventory(t, m, before)
}

// TestInstallTargets installs each kind of file and directory, and compares the command line of the worker with the
// expected command line.
func TestInstallTargets(t *testing.T) {
	m := suite().Shared(t, lab.Workers)
	m.Sh(t, "chmod 755 "+srv+"/shebang && cp "+srv+"/shebang "+srv+"/unexecutable && chmod 644 "+srv+"/unexecutable")
	for i, c := range []struct {
		what, name string
		args       []string
		want       string // the end of the command line
	}{
		{"a file", "node", []string{"node.js"}, "/usr/bin/node " + srv + "/node.js"},
		{"a directory with a start script", "express-app", []string{"express"}, "/usr/bin/node app.js"},
		{"a directory with a main file", "Main-App", []string{"main"}, "/usr/bin/node " + srv + "/main/lib/server.js"},
		{"an executable script", "shebang", []string{"./shebang"}, "node --no-warnings " + srv + "/shebang"},
		{"a script without execute permission", "unexecutable", []string{"./unexecutable"},
			"/usr/bin/node --no-warnings " + srv + "/unexecutable"},
		{"--interpreter", "late", []string{"--interpreter", "bun", "late.js"}, "/usr/local/bin/bun " + srv + "/late.js"},
		{"--node-args and arguments", "args",
			[]string{"--node-args", "--max-old-space-size=64 --no-warnings", "args.js", "--", "one", "two words"},
			"/usr/bin/node --max-old-space-size=64 --no-warnings " + srv + "/args.js one two words"},
	} {
		t.Run(c.what, func(t *testing.T) {
			p := 8630 + i
			a := kit.App{Machine: m, Name: c.name, Instances: 1, Port: p}
			t.Cleanup(func() { a.Uninstall(t) })
			r := m.Must(t, slices.Concat([]string{"install", "-i", "1", "--settle", "100ms"}, slowProbe, portFlags(p, c.args...))...)
			kit.WantOutput(t, r, c.name+": 1 instance running", fmt.Sprint(p))
			line := m.Sh(t, fmt.Sprintf("tr '\\0' ' ' < /proc/%d/cmdline", m.MainPID(t, a.Unit(1))))
			if got := strings.TrimSpace(line); got != c.want && !strings.HasSuffix(got, "/"+c.want) {
				t.Errorf("the command line is %q, want %q", got, c.want)
			}
			if c.name != "args" {
				wantAllAnswer(t, a, "/hello", hello)
			} else if got := m.Get(t, a.URL("/")); got != "--max-old-space-size=64 --no-warnings "+srv+"/args.js one two words" {
				t.Errorf("the program has the arguments %q, want --max-old-space-size=64, --no-warnings, the file, one and two words", got)
			}
		})
	}
}
