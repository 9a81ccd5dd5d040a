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

// TestReloadSaysWhatItCuts: connections that are still in use at the end of the drain are counted and named in the text
// output, in --json and in the journal, whichever command reloads. The exit status does not change.
func TestReloadSaysWhatItCuts(t *testing.T) {
	t.Parallel()
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		const program = "/opt/e2e/stream.py"
		m.CopyIn(t, "testdata/stream.py", program)
		m.CopyIn(t, "testdata/reader.py", "/opt/e2e/reader.py")
		a := kit.Install(t, m, "streams", 1, 0, "streams", "--listen", "127.0.0.1:8631", "--drain-timeout", "3s", "--settle", "200ms", "--",
			"/usr/bin/python3", program, "8631")
		read := func(n int) []string {
			m.Sh(t, fmt.Sprintf("systemd-run --collect --unit=reader-%d /usr/bin/python3 /opt/e2e/reader.py 8631 %d", n, n))
			m.AwaitJournal(t, "reading from", "-u", fmt.Sprintf("reader-%d", n))
			line := m.Sh(t, fmt.Sprintf("journalctl -q -o cat -u reader-%d | grep 'reading from'", n))
			_, peers, _ := strings.Cut(line, "reading from ")
			return strings.Fields(peers)
		}

		peers := read(2)
		r := m.Must(t, "reload", a.Name, "--json")
		var got struct{ Apps []appRoll }
		if err := json.Unmarshal([]byte(r.Stdout), &got); err != nil || len(got.Apps) != 1 || len(got.Apps[0].Instances) != 1 {
			t.Fatalf("%v: %v", err, r)
		}
		wantJSON(t, "reload", r)
		cut := got.Apps[0].Instances[0].Cut
		if cut == nil || cut.Connections != 2 || len(cut.Peers) != 2 {
			t.Fatalf("%d peers %v were reading, but the reload reports %+v: %v", len(peers), peers, cut, r)
		}
		for _, p := range cut.Peers {
			if !slices.Contains(peers, p.Address) {
				t.Errorf("the reported peer %s is not one of %v", p.Address, peers)
			}
		}
		for _, want := range append(peers, "streams@1: stopped with 2 connections in use after a drain of ") {
			if !strings.Contains(r.Stderr, want) {
				t.Errorf("%q is missing: %v", want, r)
			}
		}
		read(1)
		m.Sh(t, "systemctl reload "+a.Name)
		m.AwaitJournal(t, "streams@1: stopped with 1 connection in use", "-u", a.Service())
		// A drain that cuts no connection prints nothing.
		r = m.Must(t, "reload", a.Name, "--json")
		if strings.Contains(r.Stderr+r.Stdout, "in use") || strings.Contains(r.Stdout, `"cut"`) {
			t.Errorf("no client was connected: %v", r)
		}
	})
}

// appRoll holds the fields of "reload --json" that the tests read.
type appRoll struct {
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

// TestStopOfServerThatIgnoresSIGTERM: the stop timeout of a drained worker begins with its stop signal. --stop-timeout also
// applies if the drain may take longer.
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
			t.Errorf("systemd waits for %s, want 35s for the drain", stop)
		}
		r := m.Clusterctl(t, "reload", a.Name, "--json")
		wantKilled(t, r, "deaf-server@1: did not end by itself after SIGTERM; killed (SIGKILL)", "the program did not stop within 2s",
			"still running without a reload: 1 instance")
		wantJSON(t, "reload", r, `"killed": true`)
		wantKilled(t, m.Clusterctl(t, "stop", a.Name), "deaf-server@1: did not end", "deaf-server@2: did not end")
	})
}

// TestReloadOfOneInstanceToABrokenRelease: if the only instance fails, the error begins with the port that no worker
// serves, and the hints help to restore the app. If the configuration of the app sets surge, the old worker continues to
// serve.
func TestReloadOfOneInstanceToABrokenRelease(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		const program = "/opt/e2e/one"
		release := func(script string) { m.WriteFile(t, program, "#!/bin/sh\n"+script+"\n", 0o755) }
		release(goodRelease())
		a := kit.InstallNative(t, m, "one", 1, 8633, "--ready", "notify", "--", program)
		release("echo no such module; exit 3")
		r := m.Clusterctl(t, "reload", a.Name)
		wantKilled(t, r, "clusterctl: one: no worker serves 8633 now: one@1.service: exited with status 3", "no such module",
			"hint: restore the last release that worked, then sudo clusterctl reload one", "clusterctl rollback one", "--surge 1")
		release(goodRelease())
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
			t.Errorf("the old worker should serve: %v, then %v: %v", before, a.PIDs(t), r)
		}
		release(goodRelease())
		m.Must(t, "reload", a.Name, "--settle", "100ms")
		if slices.Equal(a.PIDs(t), before) {
			t.Error("the worker was not replaced")
		}
		// An update starts the extra instance, too.
		r = m.Must(t, "install", a.Name, "-i", "1", "--listen", "8633", "--activation", "native", "--settle", "200ms",
			"--surge", "1", "--ready", "notify", "--env", "A=1", "--", program)
		if !strings.Contains(r.Stderr, "one@2: ready") {
			t.Errorf("the update has not started the extra instance: %v", r)
		}
		kit.WantNoneLost(t, "an update with an extra instance", requests.Stop())
		a.WantUp(t)
	})
}

// TestScaleToMax: instances above the number of CPUs do not count as wanted, even if they were never started, and a reload
// does not mention them.
func TestScaleToMax(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "to-max", 1, 8634, "--", goWorker)
		running := func(what string) {
			t.Helper()
			if one := listApps(t, m)[0]; one.State != "running" || one.Ready != one.Wanted {
				t.Errorf("%s: %s, %d of %d", what, one.State, one.Ready, one.Wanted)
			}
		}
		m.Must(t, "scale", a.Name, "max", "--settle", "100ms")
		running("from 1 to max")
		m.Must(t, "scale", a.Name, "9", "--settle", "100ms")
		m.Must(t, "scale", a.Name, "max")
		running("from 9 to max")
		if r := m.Must(t, "reload", a.Name, "--settle", "100ms"); strings.Contains(r.Stderr, "skipped") {
			t.Errorf("the reload mentions instances above the number of CPUs: %v", r)
		}
		m.Must(t, "stop", a.Name)
		m.Must(t, "scale", a.Name, "1")
		m.Must(t, "scale", a.Name, "max")
		m.WantState(t, "inactive", a.Socket(), a.Service())
		m.Must(t, "start", a.Name, "--settle", "100ms")
		running("started")

		// On a terminal, the result replaces the progress line.
		out := m.Sh(t, "TERM=xterm script -qec '"+kit.Ctl+" restart "+a.Name+" --settle 100ms' /dev/null")
		if i := strings.Index(out, a.Name+": restarted"); i < 4 || !strings.HasSuffix(out[:i], "\r\x1b[K") {
			t.Errorf("the result does not begin on a cleared line: %q", out)
		}
	})
}
