//go:build lab

package deb

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

func TestMain(m *testing.M) { lab.Main(m) }

// The constant top is the path of the root of the source tree.
const top = "../../.."

// rate is the number of requests per second. This rate is low, so that two CPUs can run the tests of four machines at the
// same time.
const rate = 100

// runOnHost runs a command on the host in a directory, with additional environment variables, and returns its stdout. If
// the command fails, runOnHost ends the test.
func runOnHost(t testing.TB, dir string, env []string, argv ...string) string {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(argv, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

// makeDeb builds the package of clusterctl from a source tree, and returns the directory of the package.
func makeDeb(t testing.TB, tree, version string, env []string, arches string) string {
	t.Helper()
	dist := t.TempDir()
	runOnHost(t, tree, env, "make", "-s", "deb", "VERSION="+version, "SOURCE_DATE_EPOCH=1795458313", "ARCHES="+arches, "DIST="+dist)
	return dist
}

// debFile returns the path of the package of clusterctl in the directory dist.
func debFile(dist, version, arch string) string {
	return filepath.Join(dist, fmt.Sprintf("clusterctl_%s-1_%s.deb", version, arch))
}

// The function prepare changes the configuration of dpkg in the machine, so that dpkg also installs manual pages and
// other documentation. It returns the list of files of the machine.
func prepare(t testing.TB, m *kit.Machine) []string {
	t.Helper()
	// Remove empty directories in /etc/systemd/system, because deb-systemd-helper would remove them during the test, and
	// the test would report them as missing.
	m.Sh(t, "rm -f /etc/dpkg/dpkg.cfg.d/99mmdebstrap; mkdir -p /srv/packages; find /etc/systemd/system -mindepth 1 -type d -empty -delete")
	return listFiles(t, m)
}

// listFiles returns one line with the path, type, mode, owner and link target for each file of the machine, except logs,
// caches and files of dpkg. The list also contains the users, groups, units and failed units of the machine, and packages
// that are not completely installed.
func listFiles(t testing.TB, m *kit.Machine) []string {
	t.Helper()
	out := m.Sh(t, `
find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /tmp \
	-o -path /var/log -o -path /var/tmp -o -path /var/cache -o -path /srv/packages \
	-o -path '/var/lib/dpkg/*-old' -o -path /var/lib/dpkg/lock -o -path /var/lib/dpkg/lock-frontend \
	-o -path /var/lib/dpkg/triggers -o -path /var/lib/apt \
	-o -path '/etc/passwd-' -o -path '/etc/group-' -o -path '/etc/shadow-' -o -path '/etc/gshadow-' \
	-o -path '/etc/sub?id-' -o -path /etc/.pwd.lock \
	-o -path /root -o -path /var/lib/systemd/catalog \) -prune -o -printf '%p %y %m %u %g %l\n' | sort
find /run/clusterctl /run/private/clusterctl /run/systemd/system.control 2>/dev/null | sort
cut -d : -f 1 /etc/passwd /etc/group | sort
systemctl list-units --all --no-legend --plain --type=service,socket,slice |
	awk '{print $1, $2, $3}' | grep -e hello -e shop -e clusterctl- | sort
systemctl list-units --failed --no-legend --plain | grep -v -e '^systemd-' -e '^user' || true
dpkg -l | awk '$1 != "ii" {print $1, $2}' | grep '^[a-z]' | sort
true`)
	return strings.Split(out, "\n")
}

// copyIn copies a package from the host into a machine, and returns the path of the copy.
func copyIn(t testing.TB, m *kit.Machine, file string) string {
	t.Helper()
	to := "/srv/packages/" + filepath.Base(file)
	m.CopyIn(t, file, to)
	return to
}

// underLoad calls f while clients send requests to a port, and fails the test if a request fails. The parameter event
// describes what f does.
func underLoad(t testing.TB, m *kit.Machine, port int, event string, f func()) {
	t.Helper()
	o := load.Options{URL: fmt.Sprintf("http://127.0.0.1:%d/", port), Rate: rate, Conns: 4, Timeout: patience.For(timeout)}
	loads := kit.StartLoads(t, m, o)
	f()
	loads.WantNoneLost(t, event)
}
