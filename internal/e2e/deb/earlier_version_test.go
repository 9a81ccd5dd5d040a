//go:build lab

package deb

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
)

// earlierPackage changes a package into the package that an earlier version of clusterctl would have built for the app,
// and returns the path of the new package. Packages of earlier versions used /opt/NAME, /var/lib/NAME and /etc/NAME.
// testdata/former contains the maintainer scripts of such a package.
func earlierPackage(t testing.TB, deb, name string) string {
	t.Helper()
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree")
	runOnHost(t, "/", nil, "dpkg-deb", "-R", deb, tree)
	scripts, err := filepath.Abs("testdata/former")
	if err != nil {
		t.Fatal(err)
	}
	runOnHost(t, tree, nil, "sh", "-ec", `
cp "$1"/* DEBIAN/
sed -i "s/nest/$2/g" DEBIAN/p*
rm -f DEBIAN/md5sums
grep -rlI clusterctl-apps usr lib | grep -v ' ' | xargs sed -i -e "s#/\(opt\|etc\|var/lib\)/clusterctl-apps/#/\1/#g"
find . -type l | while read -r l; do ln -sfn "$(readlink "$l" | sed -e "s#^/opt/clusterctl-apps/#/opt/#")" "$l"; done
ln -s "/var/lib/$2/data" "usr/lib/clusterctl-apps/$2/app/data"`, "sh", scripts, name)
	to := filepath.Join(dir, filepath.Base(deb))
	runOnHost(t, dir, nil, "dpkg-deb", "--root-owner-group", "-Zxz", "-b", tree, to)
	return to
}

// TestPackageOfAnEarlierVersion installs the package of an app that an earlier version of clusterctl has built. Then the
// test upgrades to packages that the current version has built. The app must keep its data and its paths, also in a
// failed upgrade and after a reboot. A purge must not remove files that other programs or users may have created.
func TestPackageOfAnEarlierVersion(t *testing.T) {
	p := daemonProject(t, "nest", "DIR/data")
	old := earlierPackage(t, p.version(t, "1.0"), "nest")
	next := p.version(t, "2.0")
	p.write(t, "run.sh", "#!/bin/sh\nexit 3\n", 0o755)
	broken := p.version(t, "1.5")
	onReleases(t, func(t *testing.T, m *kit.Machine) {
		m.Sh(t, "mkdir -p /opt/nest /var/lib/nest /etc/nest; echo precious | tee /opt/nest/x /var/lib/nest/x; "+
			"echo FROM=etc >/etc/nest/nest.env")
		before := listFiles(t, m)
		dpkg(t, m, "-i "+copyIn(t, m, old))
		m.Sh(t, "test -L /opt/nest/current; grep -qx 1.0 /var/lib/nest/data/starts")
		restart := func(version string) {
			t.Helper()
			since := m.Sh(t, "journalctl --sync; date '+%F %T.%6N'")
			m.Sh(t, "systemctl restart nest@1; test -x /opt/nest/current/app/run.sh; test -s /opt/nest/current/instances")
			m.AwaitJournal(t, "started "+version+" etc", "-u", "nest@1.service", "--since", since)
		}
		restart("1.0")
		if r := m.Try("dpkg -i " + copyIn(t, m, broken)); r.Code == 0 || !strings.Contains(r.Stdout+r.Stderr, "the old release runs") {
			t.Errorf("an upgrade to a broken version: want an error and \"the old release runs\": %v", r)
		}
		restart("1.0")
		m.Reboot(t)
		restart("1.0")
		dpkg(t, m, "-i "+copyIn(t, m, next))
		restart("2.0")
		dpkg(t, m, "-i "+copyIn(t, m, next))
		restart("2.0")
		if got := strings.Fields(m.Sh(t, "ls -A /opt/nest")); !slices.Equal(got, []string{"current", "x"}) {
			t.Errorf("got the files %q in /opt/nest, want current and x", got)
		}
		m.Sh(t, "grep -qx 1.0 /var/lib/nest/data/starts; grep -qx 2.0 /var/lib/nest/data/starts")
		if out := dpkg(t, m, "-P nest"); !strings.Contains(out, "/var/lib/nest/data") {
			t.Errorf("dpkg -P does not print the path of the remaining data:\n%s", out)
		}
		m.Sh(t, "grep -qx 1.0 /var/lib/nest/data/starts; rm -r /var/lib/nest/data; userdel nest")
		kit.WantSameLines(t, before, listFiles(t, m))

		// Remove the package of the earlier version, and install the package of the current version.
		dpkg(t, m, "-i "+copyIn(t, m, old))
		dpkg(t, m, "-r nest")
		m.Sh(t, "mkdir -p /etc/nest; echo FROM=etc >/etc/nest/nest.env; install -d -o nest /var/lib/nest/data; "+
			"echo 0.9 >/var/lib/nest/data/starts")
		dpkg(t, m, "-i "+copyIn(t, m, next))
		m.Sh(t, "grep -qx 0.9 /var/lib/clusterctl-apps/nest/data/starts; dpkg -P nest; rm -r /var/lib/nest/data; userdel nest")
		kit.WantSameLines(t, before, listFiles(t, m))
	})
}
