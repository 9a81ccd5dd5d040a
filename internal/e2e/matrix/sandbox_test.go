//go:build lab

package matrix

import (
	"strconv"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestSandbox installs an adopted app with each value of --sandbox. The test checks the exposure level, and writes to
// several paths as the app. The app must be able to write to the path of --rw.
func TestSandbox(t *testing.T) {
	m := suite().Shared(t, lab.Workers)
	m.Sh(t, "mkdir -p -m 777 "+srv+"/data "+srv+"/other")
	t.Cleanup(func() { m.Sh(t, "rm -r "+srv+"/data "+srv+"/other") })
	exposures := map[string]float64{}
	for _, c := range []struct {
		sandbox string
		most    float64 // the maximum exposure level
		user    string
		other   string // the result of a write to a path other than the path of --rw
	}{
		{"default", 1.9, "dynamic", "Read-only file system"},
		{"strict", 1.9, "dynamic", "Read-only file system"},
		// DynamicUser= implies ProtectSystem=strict, also without a sandbox.
		{"off", 10, "www-data", "written"},
	} {
		t.Run(c.sandbox, func(t *testing.T) {
			a := install(t, m, "x-"+c.sandbox, 2, 8721,
				portFlags(8721, "--sandbox", c.sandbox, "--run-as", c.user, "--rw", srv+"/data", "write.py")...)
			exposures[c.sandbox] = m.Exposure(t, a.Unit(1))
			t.Logf("exposure %.1f", exposures[c.sandbox])
			if exposures[c.sandbox] > c.most {
				t.Errorf("the exposure level is %.1f, want at most %.1f", exposures[c.sandbox], c.most)
			}
			who := " by " + a.Machine.Property(t, a.Unit(1), "UID")
			if got := m.Get(t, a.URL(srv+"/data/"+c.sandbox)); got != "written"+who {
				t.Errorf("the result of a write to the path of --rw is %q, want %q", got, "written"+who)
			}
			if got := m.Get(t, a.URL(srv+"/other/"+c.sandbox)); got != c.other+who {
				t.Errorf("the result of a write to another path is %q, want %q", got, c.other+who)
			}
			if got := m.Get(t, a.URL("/etc/motd")); got == "written"+who {
				t.Errorf("the result of a write to /etc/motd is %q, want an error", got)
			}
		})
	}
	if exposures["strict"] > exposures["default"] || exposures["default"] >= exposures["off"] {
		t.Errorf("got the exposure levels %v, want strict <= default < off", exposures)
	}
}

// TestExposureOnEachSystemd checks the exposure level on each release, because the versions of systemd-analyze compute
// this level differently.
func TestExposureOnEachSystemd(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		a := install(t, m, "x-node", 1, 8722, portFlags(8722, "node.js")...)
		if x := m.Exposure(t, a.Unit(1)); x > 1.9 {
			t.Errorf("the exposure level is %.1f, want at most 1.9", x)
		}
	})
}

// TestRunAs checks which user runs an app. Without --run-as, the owner of the app's directory runs the app. If root owns
// the directory, a dynamic user runs the app. clusterctl install must print the user.
func TestRunAs(t *testing.T) {
	m := suite().Shared(t, lab.Workers)
	const owned = "/srv/owned"
	m.Sh(t, "install -d -o www-data -g www-data "+owned+" && install -o www-data "+srv+"/write.py "+owned)
	t.Cleanup(func() { m.Sh(t, "rm -r "+owned) })
	for _, c := range []struct {
		name string
		args []string
		text string // a text that install prints
		user string // "" means a dynamic user
	}{
		{"u-owner", []string{owned + "/write.py"}, "as user www-data", "www-data"},
		{"u-root-owns", []string{"write.py"}, "as a dynamic user", ""},
		{"u-dynamic", []string{"--run-as", "dynamic", owned + "/write.py"}, "as a dynamic user", ""},
		{"u-other", []string{"--run-as", "nobody", owned + "/write.py"}, "as user nobody", "nobody"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := install(t, m, c.name, 1, 8723, portFlags(8723, c.args...)...)
			kit.WantOutput(t, a.Output, c.text)
			got := m.Get(t, a.URL("/tmp/x"))
			if c.user != "" {
				if want := "written by " + m.Sh(t, "id -u "+c.user); got != want {
					t.Errorf("the worker writes a file: got %q, want %q", got, want)
				}
				return
			}
			// The IDs of dynamic users are between 61184 and 65519 (systemd.exec(5), DynamicUser=).
			uid, err := strconv.Atoi(strings.TrimPrefix(got, "written by "))
			if err != nil || uid < 61184 || uid > 65519 {
				t.Errorf("the worker writes a file: got %q, want the ID of a dynamic user", got)
			}
		})
	}
}
