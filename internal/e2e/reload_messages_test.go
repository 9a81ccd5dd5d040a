//go:build lab

package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// TestReloadReportsClosedConnections reloads an app while clients read endless responses, so that their connections are
// open when the drain times out. clusterctl reload must print the number of these connections and the addresses of the
// clients, as text and as JSON. systemctl reload must log the number of these connections. The exit status must be 0.
func TestReloadReportsClosedConnections(t *testing.T) {
	t.Parallel()
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		const program = "/opt/e2e/stream.py"
		m.CopyIn(t, "testdata/stream.py", program)
		m.CopyIn(t, "testdata/reader.py", "/opt/e2e/reader.py")
		a := kit.Install(t, m, "streams", 1, 0, "streams", "--listen", "127.0.0.1:8631", "--drain-timeout", "3s", "--settle", "200ms", "--",
			"/usr/bin/python3", program, "8631")
		startReaders := func(n int) []string {
			m.Sh(t, fmt.Sprintf("systemd-run --collect --unit=reader-%d /usr/bin/python3 /opt/e2e/reader.py 8631 %d", n, n))
			m.AwaitJournal(t, "reading from", "-u", fmt.Sprintf("reader-%d", n))
			line := m.Sh(t, fmt.Sprintf("journalctl -q -o cat -u reader-%d | grep 'reading from'", n))
			_, peers, _ := strings.Cut(line, "reading from ")
			return strings.Fields(peers)
		}

		peers := startReaders(2)
		r := m.Must(t, "reload", a.Name, "--json")
		var got struct{ Apps []appReload }
		if err := json.Unmarshal([]byte(r.Stdout), &got); err != nil || len(got.Apps) != 1 || len(got.Apps[0].Instances) != 1 {
			t.Fatalf("reload --json: want one app with one instance: %v: %v", err, r)
		}
		wantJSON(t, "reload", r)
		cut := got.Apps[0].Instances[0].Cut
		if cut == nil || cut.Connections != 2 || len(cut.Peers) != 2 {
			t.Fatalf("the reload reports %+v, want the %d connections of %v: %v", cut, len(peers), peers, r)
		}
		for _, p := range cut.Peers {
			if !slices.Contains(peers, p.Address) {
				t.Errorf("the reload reports the peer %s, want one of %v", p.Address, peers)
			}
		}
		for _, want := range append(peers, "streams@1: stopped with 2 connections in use after a drain of ") {
			if !strings.Contains(r.Stderr, want) {
				t.Errorf("%q is missing on stderr: %v", want, r)
			}
		}
		startReaders(1)
		m.Sh(t, "systemctl reload "+a.Name)
		m.AwaitJournal(t, "streams@1: stopped with 1 connection in use", "-u", a.Service())
		// If no connection is open, reload must not report connections.
		r = m.Must(t, "reload", a.Name, "--json")
		if strings.Contains(r.Stderr+r.Stdout, "in use") || strings.Contains(r.Stdout, `"cut"`) {
			t.Errorf("reload without clients reports connections: %v", r)
		}
	})
}

// appReload holds the fields of an app in "reload --json" that the tests use.
type appReload struct {
	Instances []struct {
		Outcome string
		Killed  bool
		Cut     *struct {
			Connections int
			Peers       []struct {
				Address   string
				RequestMs int64
			}
		}
	}
}

// TestStopOfServerThatIgnoresSIGTERM stops workers that ignore SIGTERM. The stop timeout of 2 s must begin when the
// worker gets SIGTERM, after the drain. TimeoutStopSec= of the unit must be long enough for the drain and the stop
// timeout.
func TestStopOfServerThatIgnoresSIGTERM(t *testing.T) {
	t.Parallel()
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		const program = "/opt/e2e/stream.py"
		m.CopyIn(t, "testdata/stream.py", program)
		a := kit.App{Machine: m, Name: "deaf-server", Instances: 2}
		t.Cleanup(func() { m.Clusterctl(t, "uninstall", "--yes", a.Name) })
		m.Must(t, "install", a.Name, "-i", "2", "--listen", "127.0.0.1:8632", "--stop-timeout", "2s", "--settle", "200ms", "--",
			"/usr/bin/python3", program, "8632", "deaf")
		if stop := strings.TrimSpace(m.Sh(t, "systemctl show -p TimeoutStopUSec --value "+a.Unit(1))); stop != "35s" {
			t.Errorf("TimeoutStopUSec is %s, want 35s", stop)
		}
		r := m.Clusterctl(t, "reload", a.Name, "--json")
		wantKilled(t, r, "deaf-server@1: did not end by itself after SIGTERM; killed (SIGKILL)", "the program did not stop within 2s",
			"still running without a reload: 1 instance")
		wantJSON(t, "reload", r, `"killed": true`)
		wantKilled(t, m.Clusterctl(t, "stop", a.Name), "deaf-server@1: did not end", "deaf-server@2: did not end")
	})
}

// TestReloadOfOneInstanceToABrokenRelease reloads an app with one instance to a broken version of its program. The error
// must begin with the port that no worker serves, and the hints must contain the commands that restore the app. With
// --surge 1, the old worker must continue to serve.
func TestReloadOfOneInstanceToABrokenRelease(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		const program = "/opt/e2e/one"
		release := func(script string) { m.WriteFile(t, program, "#!/bin/sh\n"+script+"\n", 0o755) }
		release(workingRelease())
		a := kit.InstallNative(t, m, "one", 1, 8633, "--ready", "notify", "--", program)
		release("echo no such module; exit 3")
		r := m.Clusterctl(t, "reload", a.Name)
		wantKilled(t, r, "clusterctl: one: no worker serves 8633 now: one@1.service: exited with status 3", "no such module",
			"hint: restore the last release that worked, then sudo clusterctl reload one", "clusterctl rollback one", "--surge 1")
		release(workingRelease())
		m.Must(t, "reload", a.Name, "--settle", "100ms")
		a.WantUp(t)

		m.Must(t, "install", a.Name, "-i", "1", "--listen", "8633", "--activation", "native", "--settle", "200ms",
			"--surge", "1", "--ready", "notify", "--", program)
		before := a.PIDs(t)
		requests := load.Start(t, m, load.Options{URL: a.URL("/"), Conns: 4, Rate: 200})
		release("echo no such module; exit 3")
		r = m.Clusterctl(t, "reload", a.Name)
		wantKilled(t, r, "one@2.service: exited with status 3")
		if strings.Contains(r.Stderr, "no worker serves") || !slices.Equal(a.PIDs(t), before) {
			t.Errorf("a failed reload with --surge 1 has replaced the old worker: the PIDs were %v, and are %v: %v",
				before, a.PIDs(t), r)
		}
		release(workingRelease())
		m.Must(t, "reload", a.Name, "--settle", "100ms")
		kit.WantReplaced(t, before, a.PIDs(t))
		// An update must start the extra instance of --surge, too.
		r = m.Must(t, "install", a.Name, "-i", "1", "--listen", "8633", "--activation", "native", "--settle", "200ms",
			"--surge", "1", "--ready", "notify", "--env", "A=1", "--", program)
		if !strings.Contains(r.Stderr, "one@2: ready") {
			t.Errorf("the update does not report the extra instance one@2: %v", r)
		}
		kit.WantNoneLost(t, "an update with an extra instance", requests.Stop())
		a.WantUp(t)
	})
}

// TestScaleToMax scales an app to max. The scale lists more instances than the machine has CPUs, and starts one instance
// per CPU. clusterctl ls must not count the instances above the number of CPUs as wanted, and clusterctl reload must not
// report these instances as skipped.
func TestScaleToMax(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "to-max", 1, 8634, "--", goWorker)
		wantRunning := func(when string) {
			t.Helper()
			if app := listApps(t, m)[0]; app.State != "running" || app.Ready != app.Wanted {
				t.Errorf("%s: got the state %s with %d of %d instances, want running with all instances",
					when, app.State, app.Ready, app.Wanted)
			}
		}
		m.Must(t, "scale", a.Name, "max", "--settle", "100ms")
		wantRunning("after a scale from 1 to max")
		m.Must(t, "scale", a.Name, "9", "--settle", "100ms")
		m.Must(t, "scale", a.Name, "max")
		wantRunning("after a scale from 9 to max")
		if r := m.Must(t, "reload", a.Name, "--settle", "100ms"); strings.Contains(r.Stderr, "skipped") {
			t.Errorf("clusterctl reload reports instances above the number of CPUs as skipped: %v", r)
		}
		m.Must(t, "stop", a.Name)
		m.Must(t, "scale", a.Name, "1")
		m.Must(t, "scale", a.Name, "max")
		m.WantState(t, "inactive", a.Socket(), a.Service())
		m.Must(t, "start", a.Name, "--settle", "100ms")
		wantRunning("after a scale and a start of the stopped app")

		// On a terminal, clusterctl restart must clear the progress line before it prints the result.
		out := m.Sh(t, "TERM=xterm script -qec '"+kit.Ctl+" restart "+a.Name+" --settle 100ms' /dev/null")
		if i := strings.Index(out, a.Name+": restarted"); i < 4 || !strings.HasSuffix(out[:i], "\r\x1b[K") {
			t.Errorf("clusterctl restart does not clear the line before the result: %q", out)
		}
	})
}
