//go:build lab

package matrix

import (
	"strconv"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestSandbox: the default sandbox hides the machine from an adopted app as docs/SECURITY.md promises, the strict sandbox
// hides more, and "off" hides nothing. --rw makes one path writable.
func TestSandbox(t *testing.T) {
	m := suite().Shared(t, lab.Workers)
	m.Sh(t, "mkdir -p -m 777 "+srv+"/data "+srv+"/other")
	t.Cleanup(func() { m.Sh(t, "rm -r "+srv+"/data "+srv+"/other") })
	level := map[string]float64{}
	for _, c := range []struct {
		sandbox string
		most    float64
		user    string
		other   string // the result of a write to a path that is not opened
	}{
		{"default", 1.9, "dynamic", "Read-only file system"},
		{"strict", 1.9, "dynamic", "Read-only file system"},
		// DynamicUser= implies ProtectSystem=strict, also without a sandbox.
		{"off", 10, "www-data", "written"},
	} {
		t.Run(c.sandbox, func(t *testing.T) {
			a := install(t, m, "x-"+c.sandbox, 2, 8721,
				portFlags(8721, "--sandbox", c.sandbox, "--run-as", c.user, "--rw", srv+"/data", "write.py")...)
			level[c.sandbox] = m.Exposure(t, a.Unit(1))
			t.Logf("exposure %.1f", level[c.sandbox])
			if level[c.sandbox] > c.most {
				t.Errorf("exposure %.1f, want at most %.1f", level[c.sandbox], c.most)
			}
			who := " by " + a.Machine.Property(t, a.Unit(1), "UID")
			if got := m.Get(t, a.URL(srv+"/data/"+c.sandbox)); got != "written"+who {
				t.Errorf("a write below --rw: %q", got)
			}
			if got := m.Get(t, a.URL(srv+"/other/"+c.sandbox)); got != c.other+who {
				t.Errorf("a write elsewhere: %q, want %q", got, c.other+who)
			}
			if got := m.Get(t, a.URL("/etc/motd")); got == "written"+who {
				t.Error("the app can write to /etc")
			}
		})
	}
	if level["strict"] > level["default"] || level["default"] >= level["off"] {
		t.Errorf("exposures: %v", level)
	}
}

// TestExposureOnEachSystemd checks the exposure on each release, because each systemd-analyze computes it differently.
func TestExposureOnEachSystemd(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		a := install(t, m, "x-node", 1, 8722, portFlags(8722, "node.js")...)
		if x := m.Exposure(t, a.Unit(1)); x > 1.9 {
			t.Errorf("exposure %.1f, want at most 1.9", x)
		}
	})
}

// TestRunAs: the owner of the directory runs the app, unless that is root, and the install prints the user.
func TestRunAs(t *testing.T) {
	m := suite().Shared(t, lab.Workers)
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
			a := install(t, m, c.name, 1, 8723, portFlags(8723, c.args...)...)
			kit.WantOutput(t, a.Output, c.said)
			got := m.Get(t, a.URL("/tmp/x"))
			if c.who != "" {
				if want := "written by " + m.Sh(t, "id -u "+c.who); got != want {
					t.Errorf("%q, want %q", got, want)
				}
				return
			}
			// systemd takes dynamic users from 61184 to 65519 (systemd.exec(5), DynamicUser=).
			uid, err := strconv.Atoi(strings.TrimPrefix(got, "written by "))
			if err != nil || uid < 61184 || uid > 65519 {
				t.Errorf("%q is not a dynamic user", got)
			}
		})
	}
}
