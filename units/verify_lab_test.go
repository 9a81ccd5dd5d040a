//go:build lab

package units_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/units"
)

// The method install writes the units and the source of a case to a machine. It also writes the programs of the Exec lines,
// because systemd-analyze(1) checks that they exist.
func (g *golden) install(t *testing.T, m *lab.Machine) units.Set {
	t.Helper()
	target := g.target
	target.Systemd = m.Systemd(t)
	set, err := units.Render(g.app, target)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range set {
		writeInto(t, m, path.Join("/etc/systemd/system", f.Path), f.Data, 0o644)
	}
	writeInto(t, m, target.Source, nil, 0o644)
	for _, program := range []string{g.app.Command[0], target.Shim} {
		if _, err := os.Lstat(filepath.Join(m.Root(), program)); err != nil {
			writeInto(t, m, program, []byte("#!/bin/sh\n"), 0o755)
		}
	}
	return set
}

func writeInto(t *testing.T, m *lab.Machine, name string, data []byte, mode os.FileMode) {
	t.Helper()
	name = filepath.Join(m.Root(), name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, mode); err != nil {
		t.Fatal(err)
	}
}

// The function remove deletes the units, so that the next case can use the same names.
func remove(t *testing.T, m *lab.Machine, set units.Set) {
	t.Helper()
	for _, f := range set {
		if err := os.Remove(filepath.Join(m.Root(), "etc/systemd/system", f.Path)); err != nil {
			t.Error(err)
		}
	}
}

// TestVerify: systemd-analyze verify accepts all golden units on all versions without a message.
func TestVerify(t *testing.T) {
	for _, release := range lab.All() {
		t.Run(string(release), func(t *testing.T) {
			t.Parallel()
			m := lab.Boot(t, release)
			checkVerify(t, m)
			for _, g := range goldens(t) {
				if g.err != nil {
					continue
				}
				t.Run(strings.TrimSuffix(filepath.Base(g.path), ".txtar"), func(t *testing.T) {
					set := g.install(t, m)
					defer remove(t, m, set)
					argv := append([]string{"systemd-analyze", "verify", "--man=no"}, set.Units()...)
					if r := m.Run(t.Context(), append(argv, g.app.Name.Instance(1))...); r.Code != 0 || r.Stdout+r.Stderr != "" {
						t.Error(r)
					}
				})
			}
		})
	}
}

// checkVerify checks that systemd-analyze verify reports an unknown key, a missing program and an invalid value.
func checkVerify(t *testing.T, m *lab.Machine) {
	t.Helper()
	for _, line := range []string{"ExecStart=/bin/true\nNoSuchKey=1", "ExecStart=/no/such/program",
		"ExecStart=/bin/true\nWorkingDirectory=x", `ExecStart=/bin/true "`} {
		writeInto(t, m, "/etc/systemd/system/wrong.service", []byte("[Service]\n"+line+"\n"), 0o644)
		if r := m.Try("systemd-analyze verify --man=no wrong.service"); r.Code == 0 && r.Stdout+r.Stderr == "" {
			t.Errorf("systemd-analyze verify does not report %s", line)
		}
	}
	m.Sh(t, "rm /etc/systemd/system/wrong.service")
}

var exposure = regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`)

// TestExposure: systemd-analyze security rates the instances of every golden with a sandbox as 1.9 or better, unless the app
// switches off a part of the sandbox.
func TestExposure(t *testing.T) {
	for _, release := range lab.All() {
		t.Run(string(release), func(t *testing.T) {
			t.Parallel()
			m := lab.Boot(t, release)
			seen := map[units.Sandbox]bool{}
			for _, g := range goldens(t) {
				if g.err != nil {
					continue
				}
				if g.app.Sandbox == units.SandboxOff && seen[units.SandboxOff] {
					continue
				}
				seen[g.app.Sandbox] = true
				set := g.install(t, m)
				m.Sh(t, "systemctl daemon-reload")
				r := m.Run(t.Context(), "systemd-analyze", "security", "--no-pager", g.app.Name.Instance(1))
				found := exposure.FindStringSubmatch(r.Stdout)
				if found == nil {
					t.Fatal(r)
				}
				score, err := strconv.ParseFloat(found[1], 64)
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%s: %.1f", filepath.Base(g.path), score)
				whole := !g.app.Shim.OwnPtrace && len(g.app.Allow) == 0
				const limit = 1.9
				if good := score <= limit; whole && good == (g.app.Sandbox == units.SandboxOff) {
					t.Errorf("%s: sandbox %s has an exposure of %.1f:\n%s", g.path, g.app.Sandbox, score, r.Stdout)
				}
				remove(t, m, set)
			}
			for _, s := range []units.Sandbox{units.SandboxDefault, units.SandboxStrict, units.SandboxOff} {
				if !seen[s] {
					t.Errorf("no golden has the sandbox %s", s)
				}
			}
		})
	}
}
