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

// TestOneInstanceByDefault checks that a new app has one instance if neither a flag nor a file sets the number. An update
// that does not set the number must not change the number of instances.
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
				t.Errorf("%d of %d instances are ready, want %d of %d", l[0].Ready, l[0].Wanted, n, n)
			}
			if source := m.ReadFile(t, "/etc/clusterctl/count.yaml"); !strings.Contains(source, "\ninstances: "+count+"\n") {
				t.Errorf("the line %q is missing in /etc/clusterctl/count.yaml:\n%s", "instances: "+count, source)
			}
		}
		hint := fmt.Sprintf("1 instance; -i max runs one per CPU (%d)\n", cpus.Count())
		if r := deploy(); !strings.HasSuffix(r.Stdout, hint) {
			t.Errorf("the output does not end with %q: %v", hint, r)
		}
		want("1", 1)
		m.Must(t, "scale", a.Name, "2", "--settle", "100ms")
		if r := deploy("--env", "A=1"); strings.Contains(r.Stdout, "-i max") {
			t.Errorf("an update prints the hint for new apps, want no hint: %v", r)
		}
		want("2", 2)
		deploy("--env", "A=1", "-i", "1")
		want("1", 1)

		// The default of earlier versions of clusterctl was max, and these versions did not write the default to the
		// file.
		deploy("-i", "max")
		m.Sh(t, "sed -i '/^instances: max$/d' /etc/clusterctl/count.yaml")
		if r := deploy("--env", "A=2"); strings.Contains(r.Stderr, "edited by hand") {
			t.Errorf("an update prints that the file of an earlier version was edited by hand, want no such note: %v", r)
		}
		want("max", cpus.Count())

		// clusterctl apply with a file without "instances" must keep the number of instances of an installed app, and
		// must start one instance of a new app.
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
			t.Errorf("install --json: want \"perCPU\": %d: %v", cpus.Count(), r)
		}
		if err := outputschema.Check("show", []byte(r.Stdout)); err != nil {
			t.Error(err)
		}
	})
}
