//go:build lab

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/outputschema"
)

// TestOneInstanceByDefault: a new app has one instance unless a flag or a file sets the number, and an update keeps the
// number.
func TestOneInstanceByDefault(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		var cpus unix.CPUSet
		if err := unix.SchedGetaffinity(m.InitPID(), &cpus); err != nil {
			t.Fatal(err)
		}
		if cpus.Count() < 2 {
			t.Fatal("this test needs two CPUs")
		}
		m.WriteFile(t, "/srv/count/server.py",
			"import http.server as h\nh.ThreadingHTTPServer(('127.0.0.1', 8130), h.SimpleHTTPRequestHandler).serve_forever()\n", 0o644)
		a := kit.App{Machine: m, Name: "count", Port: 8130}
		t.Cleanup(func() { a.Uninstall(t) })
		deploy := func(more ...string) lab.Result {
			t.Helper()
			return m.Must(t, append([]string{"install", "/srv/count/server.py", "--name", a.Name, "--settle", "100ms",
				"--probe-timeout", "1m"}, more...)...)
		}
		want := func(count string, n int) {
			t.Helper()
			if l := listApps(t, m); l[0].Ready != n || l[0].Wanted != n {
				t.Errorf("%d of %d ready, want %d", l[0].Ready, l[0].Wanted, n)
			}
			if source := m.ReadFile(t, "/etc/clusterctl/count.yaml"); !strings.Contains(source, "\ninstances: "+count+"\n") {
				t.Errorf("the source does not have %q instances:\n%s", count, source)
			}
		}
		hint := fmt.Sprintf("1 instance; -i max runs one per CPU (%d)\n", cpus.Count())
		if r := deploy(); !strings.HasSuffix(r.Stdout, hint) {
			t.Errorf("the output does not end with %q: %v", hint, r)
		}
		want("1", 1)
		m.Must(t, "scale", a.Name, "2", "--settle", "100ms")
		if r := deploy("--env", "A=1"); strings.Contains(r.Stdout, "-i max") {
			t.Errorf("the hint is printed although the number was set before: %v", r)
		}
		want("2", 2)
		deploy("--env", "A=1", "-i", "1")
		want("1", 1)

		// The default of an earlier clusterctl was max, and it did not write the default to the source.
		deploy("-i", "max")
		m.Sh(t, "sed -i '/^instances: max$/d' /etc/clusterctl/count.yaml")
		if r := deploy("--env", "A=2"); strings.Contains(r.Stderr, "edited by hand") {
			t.Errorf("the source of an earlier clusterctl is treated as edited: %v", r)
		}
		want("max", cpus.Count())

		// Files work the same: one instance by default, and an update keeps the number.
		m.WriteFile(t, "/srv/count/clusterctl.yaml",
			"name: count\ncommand: [/usr/bin/python3, server.py]\ndirectory: /srv/count\nlisten: 127.0.0.1:8130\nenv: {B: b}\n", 0o644)
		m.Must(t, "apply", "-f", "/srv/count/clusterctl.yaml", "--settle", "100ms")
		want("max", cpus.Count())
		a.Uninstall(t)
		m.Must(t, "apply", "-f", "/srv/count/clusterctl.yaml", "--settle", "100ms")
		want("1", 1)

		a.Uninstall(t)
		r := deploy("--json")
		if !strings.Contains(r.Stdout, fmt.Sprintf(`"perCPU": %d,`, cpus.Count())) {
			t.Errorf("--json: %v", r)
		}
		if err := outputschema.Check("show", []byte(r.Stdout)); err != nil {
			t.Error(err)
		}
	})
}
