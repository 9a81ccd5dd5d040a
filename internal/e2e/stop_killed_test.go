//go:build lab

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/outputschema"
)

// The constant ignoresSIGTERM is a program that prints a line after SIGTERM and continues to run.
const ignoresSIGTERM = "#!/bin/sh\ntrap 'echo still saving' TERM\nwhile :; do sleep 1; done\n"

// awaitTraps waits until the shell of every instance catches SIGTERM. With Type=simple and --settle 0s, clusterctl may
// return before the shell of an instance has run the trap command. SIGTERM would end such a shell.
func awaitTraps(t *testing.T, a kit.App) {
	t.Helper()
	for _, pid := range a.PIDs(t) {
		a.Machine.Sh(t, fmt.Sprintf("until grep -q '^SigCgt:.*4...$' /proc/%d/status; do sleep 0.02; done", pid))
	}
}

// runWhenTrapsAreSet waits until every instance catches SIGTERM, and then runs clusterctl.
func runWhenTrapsAreSet(t *testing.T, a kit.App, args ...string) lab.Result {
	t.Helper()
	awaitTraps(t, a)
	return a.Machine.Clusterctl(t, args...)
}

// killedWords returns texts that the error must contain if clusterctl reports that instance i was killed.
func killedWords(a kit.App, i int) []string {
	return []string{
		fmt.Sprintf("%s@%d: did not stop within 2s after SIGTERM; killed (SIGKILL)", a.Name, i), "still saving", "--stop-timeout",
	}
}

// TestStopOfWorkerThatIgnoresSIGTERM installs workers that ignore SIGTERM, and runs every command that stops workers.
// systemd kills the workers with SIGKILL. The error must name each killed worker, the reason and its last log lines, and
// the exit status must be 3. A reload must end after the first killed worker. A reload with --force must continue.
func TestStopOfWorkerThatIgnoresSIGTERM(t *testing.T) {
	t.Parallel()
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		const program = "/opt/e2e/deaf"
		m.WriteFile(t, program, ignoresSIGTERM, 0o755)
		for _, kind := range []struct {
			name  string
			flags []string
		}{
			{"deaf-alone", []string{"--no-listen"}},
			{"deaf-once", []string{"--no-listen", "--restart", "no"}},
		} {
			a := kit.App{Machine: m, Name: kind.name, Instances: 3}
			t.Cleanup(func() { a.Uninstall(t) })
			m.Must(t, append(append([]string{"install", a.Name, "-i", "3", "--settle", "0s", "--stop-timeout", "2s"}, kind.flags...),
				"--", program)...)
			before := a.PIDs(t)

			r := runWhenTrapsAreSet(t, a, "reload", a.Name, "--settle", "0s", "--json")
			wantKilled(t, r, append(killedWords(a, 1), "still running without a reload: 2 instances", "reload "+a.Name+" --force")...)
			wantJSON(t, "reload", r, `"ok": false`, `"killed": true`)
			if now := a.PIDs(t); now[0] == before[0] || now[1] != before[1] || now[2] != before[2] {
				t.Errorf("want a new process only of instance 1: the PIDs were %v, and are %v", before, now)
			}
			awaitTraps(t, a)
			if r := m.Try("systemctl reload " + a.Name); r.Code == 0 {
				t.Error("systemctl reload succeeded although an instance was killed, want an error")
			}
			r = runWhenTrapsAreSet(t, a, "reload", a.Name, "--settle", "0s", "--force")
			wantKilled(t, r, append(killedWords(a, 1), killedWords(a, 3)...)...)
			wantKilled(t, runWhenTrapsAreSet(t, a, "restart", a.Name+"@2"), killedWords(a, 2)...)
			wantKilled(t, runWhenTrapsAreSet(t, a, "scale", a.Name, "2"), killedWords(a, 3)...)
			a.Instances = 2
			r = runWhenTrapsAreSet(t, a, "restart", a.Name, "--settle", "0s", "--json")
			wantKilled(t, r, append(killedWords(a, 1), killedWords(a, 2)...)...)
			wantJSON(t, "restart", r, `"killed": true`, `"outcome": "reloaded"`)
			r = runWhenTrapsAreSet(t, a, "stop", a.Name, "--json")
			wantKilled(t, r, append(killedWords(a, 1), killedWords(a, 2)...)...)
			wantJSON(t, "stop", r, `"killed": true`, `"outcome": "stopped"`)
			if r := m.Clusterctl(t, "stop", a.Name); r.Code != 0 {
				t.Errorf("a stop of a stopped app: want exit status 0: %v", r)
			}
			m.Must(t, "start", a.Name, "--settle", "0s")
			r = runWhenTrapsAreSet(t, a, "uninstall", "--yes", a.Name, "--json")
			wantKilled(t, r, append(killedWords(a, 1), a.Name+" is uninstalled")...)
			wantJSON(t, "uninstall", r, `"killed": true`, `"outcome": "stopped"`)
			if failed := m.Sh(t, "systemctl --failed --no-legend --plain"); strings.Contains(failed, a.Name) {
				t.Errorf("units of the uninstalled app are failed: %s", failed)
			}
		}
	})
}

// TestUpdateOfWorkerThatIgnoresSIGTERM updates an app whose workers ignore SIGTERM, so that systemd kills the first
// worker. The update must be rolled back. With --force, the update must be completed.
func TestUpdateOfWorkerThatIgnoresSIGTERM(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		const program = "/opt/e2e/deaf"
		m.WriteFile(t, program, ignoresSIGTERM, 0o755)
		a := kit.App{Machine: m, Name: "deaf-update", Instances: 2}
		t.Cleanup(func() { m.Clusterctl(t, "uninstall", "--yes", a.Name) })
		install := func(more ...string) lab.Result {
			return m.Clusterctl(t, append([]string{"install", a.Name, "-i", "2", "--settle", "0s", "--stop-timeout", "2s",
				"--no-listen"}, append(more, "--", program)...)...)
		}
		if r := install(); r.Code != 0 {
			t.Fatalf("the first install: %v", r)
		}
		before := a.PIDs(t)
		awaitTraps(t, a)
		wantKilled(t, install("--env", "A=1"), append(killedWords(a, 1), "putting everything back", "--force")...)
		if now := a.PIDs(t); now[1] != before[1] {
			t.Errorf("want the same process of instance 2: the PIDs were %v, and are %v", before, now)
		}
		awaitTraps(t, a)
		wantKilled(t, install("--env", "A=1", "--force"), append(killedWords(a, 1), killedWords(a, 2)...)...)
		if environ := m.Sh(t, fmt.Sprintf("tr '\\0' '\\n' </proc/%d/environ", a.PIDs(t)[1])); !strings.Contains(environ, "A=1") {
			t.Errorf("the variable A=1 of the update with --force is missing in instance 2:\n%s", environ)
		}
		// A scale to one instance must report that instance 2 was killed.
		m.Must(t, "start", a.Name, "--settle", "0s")
		wantKilled(t, runWhenTrapsAreSet(t, a, "scale", a.Name, "1"), killedWords(a, 2)...)
	})
}

// wantKilled fails the test unless the exit status is 3 and stderr contains the words.
func wantKilled(t *testing.T, r lab.Result, words ...string) {
	t.Helper()
	if r.Code != notReached {
		t.Errorf("got exit status %d, want %d: %v", r.Code, notReached, r)
	}
	for _, w := range words {
		if !strings.Contains(r.Stderr, w) {
			t.Errorf("%q is missing on stderr: %v", w, r)
		}
	}
}

// wantJSON fails the test unless stdout matches the schema of the command and contains the parts.
func wantJSON(t *testing.T, command string, r lab.Result, parts ...string) {
	t.Helper()
	if err := outputschema.Check(command, []byte(r.Stdout)); err != nil {
		t.Errorf("%s --json: %v\n%s", command, err, r.Stdout)
	}
	for _, p := range parts {
		if !strings.Contains(r.Stdout, p) {
			t.Errorf("%s is missing in the output of %s --json:\n%s", p, command, r.Stdout)
		}
	}
}
