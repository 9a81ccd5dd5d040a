//go:build lab

package deb

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// onReleases boots new machines of the three oldest releases, and runs the test on all of them at the same time.
func onReleases(t *testing.T, test func(t *testing.T, m *kit.Machine)) {
	t.Helper()
	releases := []lab.Release{lab.Bullseye, lab.Bookworm, lab.Trixie}
	kit.BareMachines(t, releases, func(t *testing.T, m *kit.Machine) {
		prepare(t, m)
		test(t, m)
	})
}

// daemonProject writes a project of a background app that appends its version to data/starts at each start. The parameter
// writable lists the paths to which the app can write. In these paths, DIR is replaced with the project directory.
func daemonProject(t testing.TB, name, writable string) project {
	t.Helper()
	p := project{name: name, dir: t.TempDir()}
	p.write(t, "run.sh", "#!/bin/sh\necho \"started $VERSION $FROM\"\necho \"$VERSION\" >>data/starts || :\nexec sleep infinity\n", 0o755)
	p.yaml = fmt.Sprintf("name: %s\ninstances: 1\ncommand: [%[2]s/run.sh]\ndirectory: %[2]s\nrun-as: %[1]s\n"+
		"activation: native\nenv-files: [-%[2]s/%[1]s.env]\nwritable: [%[3]s]\n",
		name, p.dir, strings.ReplaceAll(writable, "DIR", p.dir))
	return p
}

// The method version builds a package of a version, and sets the variable VERSION of the app to this version. The
// parameter args contains additional flags of "clusterctl package".
func (p project) version(t testing.TB, version string, args ...string) string {
	t.Helper()
	p.yaml += "env: {VERSION: \"" + version + "\"}\n"
	return p.pack(t, 247, version, args...)
}

// dpkg runs dpkg and returns its stdout and stderr.
func dpkg(t testing.TB, m *kit.Machine, args string) string {
	t.Helper()
	return m.Sh(t, "dpkg "+args+" 2>&1")
}

// wantInstallRefused fails the test unless dpkg -i of a package fails with a hint and an error that contains the given
// text, and does not change the machine.
func wantInstallRefused(t testing.TB, m *kit.Machine, deb, text string) {
	t.Helper()
	before := listFiles(t, m)
	r := m.Try("dpkg -i " + copyIn(t, m, deb))
	if out := r.Stdout + r.Stderr; r.Code == 0 || !strings.Contains(out, text) || !strings.Contains(out, "hint: ") {
		t.Errorf("dpkg -i: want an error with %q and a hint: %v", text, r)
	}
	// dpkg may change the state of the package from "rc" to "ic", which means that an installation was requested.
	after := listFiles(t, m)
	for i, l := range after {
		if state, name, _ := strings.Cut(l, " "); state == "ic" {
			after[i] = "rc " + name
		}
	}
	kit.WantSameLines(t, before, after)
}

// otherFiles is a script that creates files like those of the Docker daemon, in the directories that an app with the name
// "docker" could use.
const otherFiles = `
mkdir -p /var/lib/docker/volumes /var/lib/docker/data /opt/docker/releases/1/units /etc/docker
echo precious | tee /var/lib/docker/volumes/v1 /var/lib/docker/data/db /opt/docker/releases/1/units/x \
	/opt/docker/serving /etc/docker/docker.env /etc/docker/daemon.json
ln -s releases/1 /opt/docker/current
ln -s /etc /opt/docker/releases/1/app
chmod 711 /var/lib/docker /etc/docker`

// TestPackageRemovesOnlyItsOwn installs, upgrades, removes and purges the package of an app with the name "docker" on a
// machine that has files of the Docker daemon. The package must not change or remove these files.
func TestPackageRemovesOnlyItsOwn(t *testing.T) {
	p := daemonProject(t, "docker", "DIR/data, DIR/deep/er/cache")
	one, two := p.version(t, "1.0"), p.version(t, "2.0")
	p.write(t, "run.sh", "#!/bin/sh\nprintf 'broken \\033]0;owned\\007\\n'\nexit 3\n", 0o755)
	broken := p.version(t, "3.0")
	onReleases(t, func(t *testing.T, m *kit.Machine) {
		m.Sh(t, otherFiles)
		before := listFiles(t, m)
		t.Logf("dpkg -i:\n%s", dpkg(t, m, "-i "+copyIn(t, m, one)))
		dpkg(t, m, "-i "+copyIn(t, m, two))
		const data = "/var/lib/clusterctl-apps/docker/data"
		if got := m.Sh(t, "cat "+data+"/starts; stat -c '%U %a' "+data+" "+data+"/../deep/er/cache "+data+
			"/../deep"); got != "1.0\n2.0\ndocker 750\ndocker 750\nroot 755" {
			t.Errorf("got %q, want the starts of two versions, two directories of the user docker, and one of root", got)
		}
		// With RestartSec=900ms, the rollback begins while the instance waits for its restart.
		const dropIn = "/etc/systemd/system/docker@.service.d"
		m.Sh(t, "mkdir -p "+dropIn+"; printf '[Service]\\nRestartSec=900ms\\n' >"+dropIn+"/slow.conf")
		r := m.Try("dpkg -i " + copyIn(t, m, broken))
		m.Sh(t, "rm -r "+dropIn)
		if out := r.Stdout + r.Stderr; r.Code == 0 || !strings.Contains(out, "the old release runs") || strings.Contains(out, "\033") {
			t.Errorf("an upgrade to a broken version: want an error without escape sequences: %q", r)
		}
		m.Sh(t, "systemctl set-property clusterctl-docker.slice TasksMax=1000; "+
			"systemctl set-property --runtime docker@1.service TasksMax=500; mkdir -p /run/private/clusterctl/docker/1")
		dpkg(t, m, "-r docker")
		m.Sh(t, "test -s "+data+"/starts")
		dpkg(t, m, "-i "+copyIn(t, m, one))
		m.Sh(t, "test $(grep -c . "+data+"/starts) -ge 3; mkdir -p "+data+"/mnt; mount -t tmpfs none "+data+
			"/mnt; echo precious >"+data+"/mnt/x")
		m.Sh(t, "echo mine >/opt/clusterctl-apps/docker/note; dpkg -P docker")
		m.Sh(t, "grep -q precious "+data+"/mnt/x; umount "+data+"/mnt; grep -q mine /opt/clusterctl-apps/docker/note")
		m.Sh(t, "rm -rf /var/lib/clusterctl-apps /opt/clusterctl-apps")
		kit.WantSameLines(t, before, listFiles(t, m))

		// Install the broken version as the first version.
		if r := m.Try("dpkg -i " + copyIn(t, m, broken)); r.Code == 0 || !strings.Contains(r.Stdout+r.Stderr, "try again with") {
			t.Errorf("the installation of a broken version: want an error: %v", r)
		}
		dpkg(t, m, "-P docker")
		kit.WantSameLines(t, before, listFiles(t, m))
	})
}

// TestPackageRefusesWhatIsInTheWay installs a package while a directory, a unit or a file with one of its paths exists,
// or while another package has its name. Each installation must fail, and must not change the existing files.
func TestPackageRefusesWhatIsInTheWay(t *testing.T) {
	p := daemonProject(t, "redis", "DIR/data")
	extra := filepath.Join(t.TempDir(), "redis-extra.conf")
	if err := os.WriteFile(extra, []byte("extra\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	one, two := p.version(t, "1.0"), p.version(t, "2.0", "--include", extra)
	onReleases(t, func(t *testing.T, m *kit.Machine) {
		for _, dir := range []string{"/opt/clusterctl-apps/redis", "/var/lib/clusterctl-apps/redis"} {
			m.Sh(t, "mkdir -p "+dir+"; echo precious >"+dir+"/x")
			wantInstallRefused(t, m, one, dir)
			m.Sh(t, "rm -r "+filepath.Dir(dir))
		}
		for _, unit := range []string{"/lib/systemd/system/redis.service", "/usr/lib/systemd/system/redis@.service",
			"/usr/local/lib/systemd/system/redis.service", "/etc/systemd/system/redis.service", "/etc/init.d/redis"} {
			m.Sh(t, "mkdir -p "+filepath.Dir(unit)+"; echo '[Service]' >"+unit)
			wantInstallRefused(t, m, one, unit)
			m.Sh(t, "rm "+unit)
		}
		// This package simulates Debian's package redis. The test installs this package, and then removes it without a
		// purge.
		m.Sh(t, `mkdir -p /tmp/r/DEBIAN /tmp/r/etc/redis /tmp/r/usr/share/redis; cd /tmp/r
echo port >etc/redis/redis.conf; echo /etc/redis/redis.conf >DEBIAN/conffiles; echo x >usr/share/redis/x
printf '#!/bin/sh\nexit 0\n' >DEBIAN/postrm; chmod 755 DEBIAN/postrm
printf 'Package: redis\nVersion: 0.9\nArchitecture: all\nMaintainer: A B <a@example.com>\nDescription: the real one\n' >DEBIAN/control
dpkg-deb -b . /tmp/real.deb; dpkg -i /tmp/real.deb`)
		wantInstallRefused(t, m, one, "another package redis")
		m.Sh(t, "dpkg -r redis")
		wantInstallRefused(t, m, one, "another package redis")
		m.Sh(t, "dpkg -P redis; rm -rf /tmp/r; ! ls /etc/redis 2>/dev/null")

		// The second version of the package contains a file that already exists on the machine.
		before := listFiles(t, m)
		dpkg(t, m, "-i "+copyIn(t, m, one))
		m.Sh(t, "mkdir -p "+filepath.Dir(extra)+"; echo precious >"+extra)
		if r := m.Try("dpkg -i " + copyIn(t, m, two)); r.Code == 0 || !strings.Contains(r.Stdout+r.Stderr, extra) {
			t.Errorf("an upgrade that would overwrite %s: want an error: %v", extra, r)
		}
		m.Sh(t, "grep -q precious "+extra+
			"; systemctl is-active redis@1.service; test \"$(dpkg-query -W -f '${Version}' redis)\" = 1.0; rm -r "+filepath.Dir(extra))
		dpkg(t, m, "-i "+copyIn(t, m, two))
		dpkg(t, m, "-i "+copyIn(t, m, two))
		m.Sh(t, "grep -q extra "+extra+"; dpkg -P redis; ! test -e "+extra)
		kit.WantSameLines(t, before, listFiles(t, m))
	})
}

// TestPackageFollowsNoLink upgrades a package after a worker has created links in its data directory, and after an
// administrator has changed an owner and a mode. The maintainer scripts must not follow the links, and must not reset the
// owner and the mode.
func TestPackageFollowsNoLink(t *testing.T) {
	one := daemonProject(t, "nest", "DIR/data, DIR/kept").version(t, "1.0")
	p := daemonProject(t, "nest", "DIR/data/uploads, DIR/data/new/er, DIR/data/gone/x, DIR/kept")
	p.write(t, "data/uploads.old/seed", "seed\n", 0o644)
	two := p.version(t, "2.0")
	onReleases(t, func(t *testing.T, m *kit.Machine) {
		before := listFiles(t, m)
		dpkg(t, m, "-i "+copyIn(t, m, one))
		const state = "/var/lib/clusterctl-apps/nest/"
		m.Sh(t, "mkdir -p /srv/victim; chmod 700 /srv/victim")
		m.Sh(t, "setpriv --reuid nest --regid nest --clear-groups sh -ec 'cd "+state+
			"data; ln -s /srv/victim uploads; ln -s /srv/victim gone; ln -s /srv/victim uploads.old; ln -s /etc/shadow starts.old'")
		m.Sh(t, "chown root:adm "+state+"kept; chmod 2770 "+state+"kept")
		out := m.Try("dpkg -i " + copyIn(t, m, two))
		t.Logf("the result of the upgrade: %v", out)
		if got := m.Sh(t, "stat -c '%U:%G %a' /srv/victim /etc/shadow "+state+
			"kept; ls -A /srv/victim"); got != "root:root 700\nroot:shadow 640\nroot:adm 2770" {
			t.Errorf("the upgrade has changed the target of a link, or the owner or mode of the directory kept: %q", got)
		}
		if got := m.Sh(t, "stat -c '%U %a' "+state+"data/new/er"); got != "nest 750" {
			t.Errorf("the created directory data/new/er has the owner and mode %q, want \"nest 750\"", got)
		}
		m.Sh(t, "dpkg -P nest; test -d /srv/victim; rmdir /srv/victim")
		kit.WantSameLines(t, before, listFiles(t, m))
	})
}

// TestPackageNeedsExternalDirectory installs the package of an app with a writable path outside of the app's directory.
// The package must not create this path: the installation must fail until an administrator has created it. A purge must
// not remove this path.
func TestPackageNeedsExternalDirectory(t *testing.T) {
	deb := daemonProject(t, "spool", "DIR/data, /srv/spool/in").version(t, "1.0")
	onReleases(t, func(t *testing.T, m *kit.Machine) {
		r := m.Try("dpkg -i " + copyIn(t, m, deb))
		if out := r.Stdout + r.Stderr; r.Code == 0 ||
			!strings.Contains(out, "hint: install -d -o spool /srv/spool/in, and then: dpkg --configure spool\n") {
			t.Errorf("the installation without /srv/spool/in: want an error with a hint: %v", r)
		}
		m.Sh(t, "mkdir -p /srv/spool; install -d -o spool /srv/spool/in; dpkg --configure spool; "+
			"systemctl is-active spool@1; dpkg -P spool")
		m.Sh(t, "test \"$(stat -c %U /srv/spool/in)\" = spool")
	})
}

// TestPackagesShareAUser installs two packages whose apps have the same user. The purge of one package must keep the
// user. The purge of the other package must remove the user.
func TestPackagesShareAUser(t *testing.T) {
	var debs []string
	for _, name := range []string{"one", "two"} {
		p := daemonProject(t, name, "DIR/data")
		p.yaml = strings.Replace(p.yaml, "run-as: "+name, "run-as: both", 1)
		debs = append(debs, p.version(t, "1.0"))
	}
	onReleases(t, func(t *testing.T, m *kit.Machine) {
		before := listFiles(t, m)
		for _, d := range debs {
			dpkg(t, m, "-i "+copyIn(t, m, d))
		}
		dpkg(t, m, "-P one")
		m.Sh(t, "getent passwd both; systemctl restart two@1; systemctl is-active two@1; test -s /var/lib/clusterctl-apps/two/data/starts")
		dpkg(t, m, "-P two")
		kit.WantSameLines(t, before, listFiles(t, m))
	})
}

// TestPurgeKeepsLaterService removes a package, installs another service with the same name and user, and purges the
// package. The purge must not stop or remove this service or its user.
func TestPurgeKeepsLaterService(t *testing.T) {
	deb := daemonProject(t, "late", "DIR/data").version(t, "1.0")
	onReleases(t, func(t *testing.T, m *kit.Machine) {
		dpkg(t, m, "-i "+copyIn(t, m, deb))
		dpkg(t, m, "-r late")
		m.Sh(t, "printf '[Service]\\nExecStart=/bin/sleep "+
			"infinity\\nUser=late\\n[Install]\\nWantedBy=multi-user.target\\n' >/etc/systemd/system/late.service; "+
			"systemctl enable --now late")
		dpkg(t, m, "-P late")
		m.Sh(t, "systemctl is-enabled late; systemctl is-active late; getent passwd late; systemctl restart late")
	})
}
