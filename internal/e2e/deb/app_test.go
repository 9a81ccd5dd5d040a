//go:build lab

package deb

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// timeout limits one request. Requests wait in the queue of the socket while no worker is up.
const timeout = 30 * time.Second

// project is the project directory of an app on this machine. Packages are made from it.
type project struct {
	name string
	port int
	dir  string
	yaml string
}

// nativeProject returns a project of a Go worker that uses the inherited listener. A script starts the worker with the name
// of the release. The app has a separate user, a directory that it writes to, and a secret that must not be in the package.
func nativeProject(t testing.TB) project {
	t.Helper()
	p := project{name: "hello", port: 8290, dir: t.TempDir()}
	// Strip the symbols, because packing a large program takes most of the time.
	runOnHost(t, top, []string{"CGO_ENABLED=0"}, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", p.dir+"/go-worker",
		"./packaging/examples/go-worker")
	p.write(t, ".env", "SECRET=1\n", 0o600)
	p.write(t, ".git/HEAD", "ref\n", 0o644)
	p.yaml = fmt.Sprintf(`name: hello
command: [%[1]s/run.sh]
directory: %[1]s
instances: 2
run-as: hello
listen: [%[2]d]
activation: native
ready: notify
drain: off
writable: [%[1]s/data]
`, p.dir, p.port)
	return p
}

func (p project) release(t testing.TB, version string) {
	p.write(t, "run.sh", "#!/bin/sh\necho "+version+" >>data/starts\nexec ./go-worker -instance "+version+"\n", 0o755)
}

// nodeProject returns a project of an ordinary Node server, which the shim has to adopt, with a dynamic user.
func nodeProject(t testing.TB) project {
	t.Helper()
	p := project{name: "shop", port: 8291, dir: t.TempDir()}
	p.yaml = fmt.Sprintf("name: shop\ncommand: [/usr/bin/node, server.js]\ndirectory: %s\ninstances: 2\nlisten: [%d]\n", p.dir, p.port)
	return p
}

func (p project) nodeRelease(t testing.TB, version, listening string) {
	p.write(t, "server.js", fmt.Sprintf("require('http').createServer((q, r) => r.end('hello from %s\\n')).listen(%d%s)\n",
		version, p.port, listening), 0o644)
	p.write(t, "package.json", fmt.Sprintf(`{"name": "shop", "version": %q, "description": "sells things"}`, version), 0o644)
}

func (p project) write(t testing.TB, name, data string, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), mode); err != nil {
		t.Fatal(err)
	}
}

// pack makes a package for a systemd version, and returns its path.
func (p project) pack(t testing.TB, systemd int, version string, more ...string) string {
	t.Helper()
	out := t.TempDir()
	file := filepath.Join(out, "clusterctl.yaml")
	if err := os.WriteFile(file, []byte(p.yaml), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{lab.Build(t, "./cmd/clusterctl"), "package", file, "--output", out, "--systemd-version", fmt.Sprint(systemd),
		"--maintainer", "A B <a@example.com>", "--json"}
	if version != "" {
		args = append(args, "--package-version", version)
	}
	args = append(args, more...)
	var result struct{ Packages []struct{ Path string } }
	if err := json.Unmarshal([]byte(runOnHost(t, "/", nil, args...)), &result); err != nil || len(result.Packages) != 1 {
		t.Fatalf("%v: %+v", err, result)
	}
	return result.Packages[0].Path
}

// upgrades holds packages of one app: the first release, an upgrade, an upgrade that does not run, and a fixed upgrade.
type upgrades struct {
	project
	good, newer, broken, fixed string // packages
}

func (u upgrades) install(t *testing.T, m *kit.Machine) {
	t.Helper()
	t.Logf("apt-get install:\n%s", m.Sh(t, "apt-get install -y "+copyIn(t, m, u.good)+" 2>&1 | grep -v Reading"))
	u.want(t, m, "1.0")
}

// installForbidden installs the package while the administrator forbids starting services, as tools that build images do.
// The package must be installed without starting the app.
func (u upgrades) installForbidden(t *testing.T, m *kit.Machine) {
	t.Helper()
	const policy = "/usr/sbin/policy-rc.d"
	m.WriteFile(t, policy, "#!/bin/sh\nexit 101\n", 0o755)
	m.Sh(t, "apt-get install -y "+copyIn(t, m, u.good))
	if got := m.Try("systemctl is-active " + u.name + ".service " + u.name + "@1.service").Stdout; got != "inactive\ninactive\n" {
		t.Errorf("the policy forbids starts, but the states are %q", got)
	}
	m.Sh(t, "rm "+policy+" && systemctl start "+u.name)
	u.want(t, m, "1.0")
}

// want fails the test unless all instances are up and their answers contain the version.
func (u upgrades) want(t testing.TB, m *kit.Machine, version string) {
	t.Helper()
	for range 4 {
		if got := m.Get(t, fmt.Sprintf("http://127.0.0.1:%d/", u.port)); !strings.Contains(got, version) {
			t.Fatalf("%s answers %q, want %s", u.name, got, version)
		}
	}
	for _, unit := range []string{".service", "@1.service", "@2.service", ".socket"} {
		if got := m.Try("systemctl is-active " + u.name + unit).Stdout; got != "active\n" {
			t.Errorf("%s%s is %s", u.name, unit, got)
		}
	}
	if got := m.Try("systemctl is-enabled " + u.name + ".service").Stdout; got != "enabled\n" {
		t.Errorf("%s.service is %s", u.name, got)
	}
}

func (u upgrades) upgrade(t *testing.T, m *kit.Machine) {
	t.Helper()
	underLoad(t, m, u.port, "an upgrade", func() { m.Sh(t, "apt-get install -y "+copyIn(t, m, u.newer)) })
	u.want(t, m, "2.0")
	if got := m.Sh(t, "ls /opt/clusterctl-apps/"+u.name+"/releases"); !strings.HasPrefix(got, "2.0") || strings.Contains(got, "\n") {
		t.Errorf("the releases after an upgrade are %q", got)
	}
}

// upgradeKilled kills the maintainer script when only one instance has been replaced. Configuring the package again must
// replace both.
func (u upgrades) upgradeKilled(t *testing.T, m *kit.Machine) {
	t.Helper()
	underLoad(t, m, u.port, "a killed upgrade", func() {
		p := m.Start(t, "apt-get", "install", "-y", copyIn(t, m, u.newer))
		m.AwaitJournal(t, "instance 2.0", "-u", u.name+"@1.service")
		m.Sh(t, "pkill -KILL -f ["+u.name[:1]+"]"+u.name[1:]+".postinst") // without the brackets, the pattern would match pkill itself
		if r := p.Wait(); r.Code == 0 {
			t.Errorf("apt succeeds although the maintainer script was killed: %v", r)
		}
		m.Sh(t, "dpkg --configure -a")
	})
	u.want(t, m, "2.0")
}

// fail upgrades to a release that does not come up. apt must fail, and the old release must serve, also after a reboot.
func (u upgrades) fail(t *testing.T, m *kit.Machine) {
	t.Helper()
	underLoad(t, m, u.port, "a failed upgrade", func() {
		r := m.Try("apt-get install -y " + copyIn(t, m, u.broken))
		if r.Code == 0 || !strings.Contains(r.Stdout+r.Stderr, "the old release runs") ||
			!strings.Contains(r.Stdout+r.Stderr, "broken on purpose") {
			t.Errorf("an upgrade to a broken release: %v", r)
		}
	})
	u.want(t, m, "2.0")
	if got := m.Sh(t, "dpkg-query -W -f '${Status}' "+u.name); got != "install ok half-configured" {
		t.Errorf("the state in dpkg after a failed upgrade is %q", got)
	}
	m.Reboot(t)
	u.want(t, m, "2.0")
	underLoad(t, m, u.port, "the fixed upgrade", func() { m.Sh(t, "apt-get install -y "+copyIn(t, m, u.fixed)) })
	u.want(t, m, "4.0")
}

// end removes and purges the package.
func (u upgrades) end(t *testing.T, m *kit.Machine, before []string) {
	t.Helper()
	m.Sh(t, "apt-get remove -y "+u.name)
	if r := m.Try(fmt.Sprintf("curl -sS --max-time 5 http://127.0.0.1:%d/", u.port)); r.Code != 7 {
		t.Errorf("%s still answers after its removal: %v", u.name, r)
	}
	m.Sh(t, "apt-get purge -y "+u.name)
	kit.WantSameLines(t, before, listFiles(t, m))
}

// TestPackageOfANativeApp installs the package of a native app on machines that have never had clusterctl.
func TestPackageOfANativeApp(t *testing.T) {
	u := nativeUpgrades(t)
	kit.BareMachines(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		before := prepare(t, m)
		if m.Release() == lab.Sid {
			u.installForbidden(t, m)
		} else {
			u.install(t, m)
		}
		if r := m.Try("find / -xdev -name '*clusterctl*' -not -path '/*/clusterctl-apps*' -not -path '/proc/*' -not -path " +
			"'/run/*' -not -name clusterctl-hello.slice"); r.Stdout != "" {
			t.Errorf("files of clusterctl are on the machine: %s", r.Stdout)
		}
		if got := m.Sh(t, "find /opt/clusterctl-apps /usr/lib/clusterctl-apps -name .env -o -name .git; "+
			"stat -c %U /var/lib/clusterctl-apps/hello/data/starts; ps -o user= -C go-worker | sort -u"); got != "hello\nhello" {
			t.Errorf("the package contains secrets, or its user is not hello: %q", got)
		}
		if m.Release() == lab.Bookworm {
			u.upgradeKilled(t, m)
		} else {
			u.upgrade(t, m)
		}
		u.fail(t, m)
		if got := m.Sh(t, "sort -u /var/lib/clusterctl-apps/hello/data/starts"); got != "1.0\n2.0\n4.0" {
			t.Errorf("the releases wrote %q", got)
		}
		u.end(t, m, before)
	})
}

// nativeUpgrades returns packages for the oldest systemd, which are installed on all releases.
func nativeUpgrades(t *testing.T) upgrades {
	t.Helper()
	p := nativeProject(t)
	u := upgrades{project: p}
	p.release(t, "1.0")
	u.good = p.pack(t, 247, "1.0")
	p.release(t, "2.0")
	u.newer = p.pack(t, 247, "2.0")
	p.write(t, "run.sh", "#!/bin/sh\necho broken on purpose\nexit 3\n", 0o755)
	u.broken = p.pack(t, 247, "3.0")
	p.release(t, "4.0")
	u.fixed = p.pack(t, 247, "4.0")
	return u
}

// nodeUpgrades returns packages whose version is in package.json. The broken release listens, so that it counts as started,
// and exits before it accepts a connection, because accepted connections would be lost.
func nodeUpgrades(t *testing.T, systemd int) upgrades {
	t.Helper()
	p := nodeProject(t)
	u := upgrades{project: p}
	p.nodeRelease(t, "1.0.0", "")
	u.good = p.pack(t, systemd, "")
	p.nodeRelease(t, "2.0.0", "")
	u.newer = p.pack(t, systemd, "")
	p.nodeRelease(t, "3.0.0", ", () => { console.log('broken on purpose'); process.exit(1) }")
	u.broken = p.pack(t, systemd, "")
	p.nodeRelease(t, "4.0.0", "")
	u.fixed = p.pack(t, systemd, "")
	return u
}
