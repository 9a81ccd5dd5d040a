//go:build lab

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// tryInstall installs two instances of an app as root without a sandbox, and returns the result of the command.
func tryInstall(t *testing.T, m *kit.Machine, name string, args ...string) lab.Result {
	t.Helper()
	a := kit.App{Machine: m, Name: name, Instances: 2}
	t.Cleanup(func() { a.Uninstall(t) })
	r := m.Clusterctl(t, slices.Concat([]string{"install", name, "-i", "2", "--run-as", "root", "--sandbox", "off"}, args)...)
	t.Logf("clusterctl install %s %q:\n%v", name, args, r)
	return r
}

// wantIn fails the test unless the text contains all words.
func wantIn(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q is missing in:\n%s", w, text)
		}
	}
}

// TestProbeWaitsForSlowProgram installs a program that listens 15 s after its start. The probe must wait until the
// program listens.
func TestProbeWaitsForSlowProgram(t *testing.T) {
	t.Parallel()
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		const program = "/opt/e2e/slow.js"
		m.WriteFile(t, program, "setTimeout(() => require('http').createServer((q, "+
			"r) => r.end(`${process.pid}`)).listen(8180), 15000);\n", 0o644)
		// The app is installed with the default sandbox, and the probe must be able to inspect its process.
		a := kit.Install(t, m, "slow", 2, 8180, "slow", "--settle", "200ms", "--no-node-preload", "--", "node", program)
		wantIn(t, a.Output.Stderr, "probe: the program listens on tcp port 8180")
		a.WantUp(t)
	})
}

// TestListenersOfBackgroundAppsAreNamed installs a background app whose first instance binds a port, so the second
// instance cannot bind the port and exits. clusterctl show, ls and install must print the port and the flag that lets
// the instances share the port.
func TestListenersOfBackgroundAppsAreNamed(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		const program, flag = "/opt/e2e/own.py", "/run/own.go"
		m.WriteFile(t, program, "import os, socket, time\nwhile not os.path.exists('"+flag+"'):\n    time.sleep(0.05)\n"+
			"s = socket.create_server(('0.0.0.0', 8181))\nprint('listening', flush=True)\ntime.sleep(600)\n", 0o644)
		m.Sh(t, "rm -f "+flag)
		if r := tryInstall(t, m, "own-port", "--no-listen", "--settle", "200ms", "--", "python3", program); r.Code != 0 {
			t.Fatalf("got exit status %d, want 0", r.Code)
		}
		const words = "listens on 8181, each instance for itself"
		if r := m.Clusterctl(t, "show", "own-port"); strings.Contains(r.Stdout, words) {
			t.Errorf("clusterctl show prints a port before the program listens:\n%s", r.Stdout)
		}
		m.Sh(t, "touch "+flag)
		m.AwaitJournal(t, "listening", "-t", "own-port")
		m.AwaitJournal(t, "Address already in use", "-t", "own-port")
		wantIn(t, m.Must(t, "show", "own-port").Stdout, "problem         "+words, "listens on      8181, each instance for itself",
			"to share the address: install the app with --listen 8181")
		ls := m.Must(t, "ls")
		wantIn(t, ls.Stdout, "8181 (own)", words)
		wantIn(t, ls.Stderr, "own-port "+words+"; to share the address, install the app again with --listen 8181")
		wantIn(t, m.Must(t, "ls", "--json").Stdout, `"ownListen": [`, `"8181"`)

		// In this install, the second instance exits while the command still waits for --settle.
		r := tryInstall(t, m, "own2", "--no-listen", "--", "python3",
			"-c", "import socket, time; s = socket.create_server(('0.0.0.0', 8182)); time.sleep(600)")
		if r.Code != 3 {
			t.Errorf("install of two instances that bind one port: got exit status %d, want 3", r.Code)
		}
		wantIn(t, r.Stderr, "Address already in use",
			"hint: another instance has bound 8182; to share this address: --listen 8182; to run only one instance: -i 1")
	})
}

// TestInstallWaitsForLateExits checks that an install fails if the program exits some seconds after its start.
func TestInstallWaitsForLateExits(t *testing.T) {
	t.Parallel()
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		for i, c := range []struct {
			name string
			args []string
		}{
			{"a background app", []string{"--no-listen", "--", "python3", "-c", "import time; time.sleep(4); raise SystemExit('gave up')"}},
			{"a server that uses the CPU and exits",
				[]string{"--listen", "0.0.0.0:8183", "--no-probe", "--", "python3", "-c", "import socket, time\n" +
					"s = socket.create_server(('0.0.0.0', 8183))\nwhile time.process_time() < 0.5: pass\nraise SystemExit('gave up')"}},
			{"a server that exits soon after a long start",
				[]string{"--listen", "0.0.0.0:8184", "--no-probe", "--", "python3", "-c", "import socket, time\n" +
					"time.sleep(5)\ns = socket.create_server(('0.0.0.0', 8184))\ntime.sleep(3)\nraise SystemExit('gave up')"}},
			{"a server that exits during the probe",
				[]string{"--", "python3", "-c", "import os, socket, time\nprobe = not os.path.exists('/run/probed')\n" +
					"open('/run/probed', 'a')\ns = socket.create_server(('0.0.0.0', 8185))\n" +
					"time.sleep(0 if probe else 4)\nraise SystemExit('gave up')"}},
		} {
			t.Run(c.name, func(t *testing.T) {
				m.Sh(t, "rm -f /run/probed")
				r := tryInstall(t, m, fmt.Sprintf("late%d", i), c.args...)
				if r.Code != 3 {
					t.Errorf("got exit status %d, want 3", r.Code)
				}
				wantIn(t, r.Stderr, "exited with status 1", "gave up", "rolling everything back")
			})
		}
	})
}

// TestDaemonIsRefused checks that install fails for a program that forks into the background, and that the hint contains
// the option that keeps the program in the foreground.
func TestDaemonIsRefused(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		const program = "/opt/e2e/memcached"
		m.WriteFile(t, program, "#!/bin/sh\nsetsid sleep 600 </dev/null >/dev/null 2>&1 &\nexit 0\n", 0o755)
		for _, args := range [][]string{{"--", program}, {"--listen", "8186", "--", program}} {
			r := tryInstall(t, m, "daemon", args...)
			if r.Code != 3 {
				t.Errorf("%q: got exit status %d, want 3", args, r.Code)
			}
			wantIn(t, r.Stderr, "it went into the background: it exited 0, and left sleep running", "hint: memcached: run it without -d")
		}
		r := tryInstall(t, m, "daemon", "--no-probe", "--listen", "8186", "--", program)
		if r.Code != 3 {
			t.Errorf("without a probe: got exit status %d, want 3", r.Code)
		}
		wantIn(t, r.Stderr, "hint: if the program goes into the background: memcached: run it without -d; "+
			"if its work is done: --restart on-failure")
		if left := m.Try("pgrep -x sleep"); left.Code == 0 {
			t.Errorf("the program still runs: %v", left)
		}
	})
}

// TestProbeErrorShowsItsOwnLog checks the log lines in the error of a failed probe. The error must contain lines of the
// failed probe, but no lines of earlier probes or of an earlier app with the same name.
func TestProbeErrorShowsItsOwnLog(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		if r := tryInstall(t, m, "again", "--settle", "100ms", "--", "python3",
			"-c", "print('attempt-of-a-success', flush=True)\nimport socket, time\n"+
				"s = socket.create_server(('0.0.0.0', 8187))\ntime.sleep(600)"); r.Code != 0 {
			t.Fatalf("got exit status %d, want 0", r.Code)
		}
		m.Must(t, "uninstall", "--yes", "again")
		for i := range 8 {
			word := fmt.Sprintf("attempt-%d-ends", i)
			r := tryInstall(t, m, "again", "--", "/bin/sh", "-c", "for i in 1 2 3; do echo "+word+"; done; exit 3")
			if r.Code != 3 {
				t.Errorf("got exit status %d, want 3", r.Code)
			}
			wantIn(t, r.Stderr, word)
			if strings.Contains(r.Stderr, "attempt-of-a-success") {
				t.Errorf("the error of attempt %d contains a log line of the earlier app:\n%s", i, r.Stderr)
			}
			for j := range i {
				if strings.Contains(r.Stderr, fmt.Sprintf("attempt-%d-ends", j)) {
					t.Errorf("the error of attempt %d contains a log line of attempt %d:\n%s", i, j, r.Stderr)
				}
			}
		}
	})
}
