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

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

func TestMain(m *testing.M) { lab.Main(m) }

// top is the root of the tree.
const top = "../../.."

// rate is a load, in requests per second, that leaves two cores time for four machines.
const rate = 100

// host runs a program on this machine, in a directory.
func host(t testing.TB, dir string, env []string, argv ...string) string {
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

// makeDeb builds the package of clusterctl from a tree.
func makeDeb(t testing.TB, tree, version string, env []string, arches string) string {
	t.Helper()
	dist := t.TempDir()
	host(t, tree, env, "make", "-s", "deb", "VERSION="+version, "SOURCE_DATE_EPOCH=1795458313", "ARCHES="+arches, "DIST="+dist)
	return dist
}

func debFile(dist, version, arch string) string {
	return filepath.Join(dist, fmt.Sprintf("clusterctl_%s-1_%s.deb", version, arch))
}

// fresh makes a machine install manuals and notes too, as ordinary ones do, and tells what files it has.
func fresh(t testing.TB, m *lab.Machine) []string {
	t.Helper()
	// deb-systemd-helper removes every empty directory of links, also those that the image had.
	m.Sh(t, "rm -f /etc/dpkg/dpkg.cfg.d/99mmdebstrap; mkdir -p /srv/packages; find /etc/systemd/system -mindepth 1 -type d -empty -delete")
	return files(t, m)
}

// files are all files of a machine with type, permissions, owner and target, but for logs, caches and dpkg's own notes; and
// who is known on it, which units are, and which failed.
func files(t testing.TB, m *lab.Machine) []string {
	t.Helper()
	out := m.Sh(t, `
find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /var/log -o -path /var/tmp -o -path /var/cache -o -path /srv/packages \
	-o -path '/var/lib/dpkg/*-old' -o -path /var/lib/dpkg/lock -o -path /var/lib/dpkg/lock-frontend -o -path /var/lib/dpkg/triggers -o -path /var/lib/apt \
	-o -path '/etc/passwd-' -o -path '/etc/group-' -o -path '/etc/shadow-' -o -path '/etc/gshadow-' -o -path '/etc/sub?id-' -o -path /etc/.pwd.lock \
	-o -path /root -o -path /var/lib/systemd/catalog \) -prune -o -printf '%p %y %m %u %g %l\n' | sort
find /run/clusterctl /run/private/clusterctl /run/systemd/system.control 2>/dev/null | sort
cut -d : -f 1 /etc/passwd /etc/group | sort
systemctl list-units --all --no-legend --plain --type=service,socket,slice | awk '{print $1, $2, $3}' | grep -e hello -e shop -e clusterctl- | sort
systemctl list-units --failed --no-legend --plain | grep -v -e '^systemd-' -e '^user' || true
dpkg -l | awk '$1 != "ii" {print $1, $2}' | grep '^[a-z]' | sort
true`)
	return strings.Split(out, "\n")
}

// wantSame fails the test when files have come or gone.
func wantSame(t testing.TB, before, after []string) {
	t.Helper()
	count := map[string]int{}
	for _, l := range before {
		count[l]--
	}
	for _, l := range after {
		count[l]++
	}
	for _, l := range append(before, after...) {
		switch n := count[l]; {
		case n > 0:
			t.Errorf("is left behind: %s", l)
		case n < 0:
			t.Errorf("is gone: %s", l)
		}
		count[l] = 0
	}
}

// copyIn puts a package into a machine and gives its path there.
func copyIn(t testing.TB, m *lab.Machine, file string) string {
	t.Helper()
	to := "/srv/packages/" + filepath.Base(file)
	m.CopyIn(t, file, to)
	return to
}

// get answers with the body of a page.
func get(t testing.TB, m *lab.Machine, port int) string {
	t.Helper()
	return m.Sh(t, fmt.Sprintf("curl -fsS --max-time 20 http://127.0.0.1:%d/", port))
}

// underLoad sends requests, on fresh connections and on kept ones, while something is done. None may fail.
func underLoad(t testing.TB, m *lab.Machine, port int, what string, do func()) {
	t.Helper()
	url := fmt.Sprintf("http://127.0.0.1:%d/", port)
	short := load.Start(t, m, load.Options{URL: url, Rate: rate, Conns: 4, Timeout: patience.For(timeout)})
	kept := load.Start(t, m, load.Options{URL: url, Rate: rate, Conns: 4, Timeout: patience.For(timeout), KeepAlive: true})
	do()
	for _, r := range []load.Report{short.Stop(), kept.Stop()} {
		if r.Failed() > 0 || r.OK == 0 {
			t.Errorf("%s: %v", what, r)
		}
		t.Logf("%s: %d requests, %d failed", what, r.Requests, r.Failed())
	}
}
