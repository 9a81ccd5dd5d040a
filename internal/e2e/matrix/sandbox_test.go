//go:build lab

package matrix

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/lab"
)

var exposureLine = regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+) `)

// exposure is the verdict of systemd-analyze security on the first instance: 0 is nothing, 10 is everything.
func (a *app) exposure(t testing.TB) float64 {
	t.Helper()
	out := a.m.Sh(t, "systemd-analyze security --no-pager "+a.unit(1))
	match := exposureLine.FindStringSubmatch(out)
	if match == nil {
		t.Fatalf("systemd-analyze security says no exposure level:\n%s", out)
	}
	x, err := strconv.ParseFloat(match[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// TestSandbox: an adopted app is as hidden from the machine by default as the design promises, more so with strict, and
// not at all with off; --rw opens one path.
func TestSandbox(t *testing.T) {
	m := workers(t)
	m.Sh(t, "mkdir -p -m 777 "+srv+"/data "+srv+"/other")
	t.Cleanup(func() { m.Sh(t, "rm -r "+srv+"/data "+srv+"/other") })
	level := map[string]float64{}
	for _, c := range []struct {
		sandbox string
		most    float64
		user    string
		other   string // what comes of a write to a path that is not opened
	}{
		{"default", 1.9, "dynamic", "Read-only file system"},
		{"strict", 1.9, "dynamic", "Read-only file system"},
		// DynamicUser= brings ProtectSystem=strict of its own, whatever the sandbox.
		{"off", 10, "www-data", "written"},
	} {
		t.Run(c.sandbox, func(t *testing.T) {
			a := install(t, m, "x-"+c.sandbox, 2, 8721, port(8721, "--sandbox", c.sandbox, "--run-as", c.user, "--rw", srv+"/data", "write.py")...)
			level[c.sandbox] = a.exposure(t)
			t.Logf("exposure %.1f", level[c.sandbox])
			if level[c.sandbox] > c.most {
				t.Errorf("exposure %.1f, want %.1f at most", level[c.sandbox], c.most)
			}
			who := " by " + a.property(t, a.unit(1), "UID")
			if got := get(t, m, a.url(srv+"/data/"+c.sandbox)); got != "written"+who {
				t.Errorf("below --rw: %q", got)
			}
			if got := get(t, m, a.url(srv+"/other/"+c.sandbox)); got != c.other+who {
				t.Errorf("elsewhere: %q, want %q", got, c.other+who)
			}
			if got := get(t, m, a.url("/etc/motd")); got == "written"+who {
				t.Error("it may write to /etc")
			}
		})
	}
	if level["strict"] > level["default"] || level["default"] >= level["off"] {
		t.Errorf("exposures: %v", level)
	}
}

// TestExposureEverywhere: the verdict is that of each systemd's own systemd-analyze.
func TestExposureEverywhere(t *testing.T) {
	for _, r := range lab.All() {
		t.Run(string(r), func(t *testing.T) {
			t.Parallel()
			m := machine(t, r)
			a := install(t, m, "x-node", 1, 8722, port(8722, "node.js")...)
			if x := a.exposure(t); x > 1.9 {
				t.Errorf("exposure %.1f, want 1.9 at most", x)
			}
		})
	}
}

// TestRunAs: the owner of the directory, as long as that is not root, runs the app, and the install says who it is.
func TestRunAs(t *testing.T) {
	m := workers(t)
	const owned = "/srv/owned"
	m.Sh(t, "install -d -o www-data -g www-data "+owned+" && install -o www-data "+srv+"/write.py "+owned)
	t.Cleanup(func() { m.Sh(t, "rm -r "+owned) })
	for _, c := range []struct {
		name string
		args []string
		said string
		who  string // "" is a dynamic user
	}{
		{"u-owner", []string{owned + "/write.py"}, "as user www-data", "www-data"},
		{"u-root-owns", []string{"write.py"}, "as a dynamic user", ""},
		{"u-dynamic", []string{"--run-as", "dynamic", owned + "/write.py"}, "as a dynamic user", ""},
		{"u-other", []string{"--run-as", "nobody", owned + "/write.py"}, "as user nobody", "nobody"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := install(t, m, c.name, 1, 8723, port(8723, c.args...)...)
			wantSaid(t, a.said, c.said)
			got := get(t, m, a.url("/tmp/x"))
			if c.who != "" {
				if want := "written by " + m.Sh(t, "id -u "+c.who); got != want {
					t.Errorf("%q, want %q", got, want)
				}
				return
			}
			// systemd takes dynamic users from 61184 to 65519 (systemd.exec(5), DynamicUser=).
			uid, err := strconv.Atoi(strings.TrimPrefix(got, "written by "))
			if err != nil || uid < 61184 || uid > 65519 {
				t.Errorf("%q is no dynamic user", got)
			}
		})
	}
}
