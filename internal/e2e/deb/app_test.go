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

// timeout is the timeout of one request. A request waits in the queue of the socket while no worker accepts connections.
const timeout = 30 * time.Second

// The type project describes the project directory of an app on the host. The tests build packages from this directory.
type project struct {
	name string
	port int
	dir  string
	yaml string // the contents of clusterctl.yaml
}

// nativeProject writes the project directory of an app with a Go worker that uses the inherited listener. The app has a
// separate user and a writable directory. The project contains .env and .git, which must not be in the package. The
// method release writes the script that starts the worker.
func nativeProject(t testing.TB) project {
	t.Helper()
	p := project{name: "hello", port: 8290, dir: t.TempDir()}
	// The program is built without symbols, because the compression of a large program would take most of the time of the
	// test.
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

// The method release writes run.sh, which starts the worker with the version as an argument.
func (p project) release(t testing.TB, version string) {
	p.write(t, "run.sh", "#!/bin/sh\necho "+version+" >>data/starts\nexec ./go-worker -instance "+version+"\n", 0o755)
}

// nodeProject returns a project of an unmodified Node server with a dynamic user. nodeRelease must write the program
// before the project is packaged.
func nodeProject(t testing.TB) project {
	t.Helper()
	p := project{name: "shop", port: 8291, dir: t.TempDir()}
	p.yaml = fmt.Sprintf("name: shop\ncommand: [/usr/bin/node, server.js]\ndirectory: %s\ninstances: 2\nlisten: [%d]\n", p.dir, p.port)
	return p
}

// nodeRelease writes server.js and package.json of a version. In server.js, the parameter listening is appended to the
// arguments of listen.
func (p project) nodeRelease(t testing.TB, version, listening string) {
	p.write(t, "server.js", fmt.Sprintf("require('http').createServer((q, r) => r.end('hello from %s\\n')).listen(%d%s)\n",
		version, p.port, listening), 0o644)
	p.write(t, "package.json", fmt.Sprintf(`{"name": "shop", "version": %q, "description": "sells things"}`, version), 0o644)
}

// The method write writes a file in the project directory.
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

// The method pack builds a package for a systemd version, and returns the path of the package. If version is "",
// clusterctl reads the version from package.json. The parameter extraFlags contains additional flags.
func (p project) pack(t testing.TB, systemd int, version string, extraFlags ...string) string {
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
	args = append(args, extraFlags...)
	var result struct{ Packages []struct{ Path string } }
	if err := json.Unmarshal([]byte(runOnHost(t, "/", nil, args...)), &result); err != nil || len(result.Packages) != 1 {
		t.Fatalf("clusterctl package --json: want one package: %v: %+v", err, result)
	}
	return result.Packages[0].Path
}

// The type upgrades holds the paths of packages of one app, in the order of their versions.
type upgrades struct {
	project
	first, second string // versions that run
	broken        string // a version that does not run
	fixed         string // the last version, which runs
}

// The method install installs the first version.
func (u upgrades) install(t *testing.T, m *kit.Machine) {
	t.Helper()
	t.Logf("apt-get install:\n%s", m.Sh(t, "apt-get install -y "+copyIn(t, m, u.first)+" 2>&1 | grep -v Reading"))
	u.wantRunning(t, m, "1.0")
}

// installWithoutStart installs the first version on a machine whose policy-rc.d forbids starts of services. Tools that
// build images write such a policy-rc.d. The installation must succeed and must not start the app.
func (u upgrades) installWithoutStart(t *testing.T, m *kit.Machine) {
	t.Helper()
	const policy = "/usr/sbin/policy-rc.d"
	m.WriteFile(t, policy, "#!/bin/sh\nexit 101\n", 0o755)
	m.Sh(t, "apt-get install -y "+copyIn(t, m, u.first))
	if got := m.Try("systemctl is-active " + u.name + ".service " + u.name + "@1.service").Stdout; got != "inactive\ninactive\n" {
		t.Errorf("policy-rc.d forbids starts, but the units are %q, want inactive", got)
	}
	m.Sh(t, "rm "+policy+" && systemctl start "+u.name)
	u.wantRunning(t, m, "1.0")
}

// wantRunning fails the test unless all units are active, the service is enabled, and the responses contain the version.
func (u upgrades) wantRunning(t testing.TB, m *kit.Machine, version string) {
	t.Helper()
	for range 4 {
		if got := m.Get(t, fmt.Sprintf("http://127.0.0.1:%d/", u.port)); !strings.Contains(got, version) {
			t.Fatalf("the response of %s is %q, want %s in it", u.name, got, version)
		}
	}
	for _, unit := range []string{".service", "@1.service", "@2.service", ".socket"} {
		if got := m.Try("systemctl is-active " + u.name + unit).Stdout; got != "active\n" {
			t.Errorf("%s%s is %q, want active", u.name, unit, got)
		}
	}
	if got := m.Try("systemctl is-enabled " + u.name + ".service").Stdout; got != "enabled\n" {
		t.Errorf("%s.service is %q, want enabled", u.name, got)
	}
}

// The method upgrade upgrades to the second version under load. The first version must be removed.
func (u upgrades) upgrade(t *testing.T, m *kit.Machine) {
	t.Helper()
	underLoad(t, m, u.port, "an upgrade", func() { m.Sh(t, "apt-get install -y "+copyIn(t, m, u.second)) })
	u.wantRunning(t, m, "2.0")
	if got := m.Sh(t, "ls /opt/clusterctl-apps/"+u.name+"/releases"); !strings.HasPrefix(got, "2.0") || strings.Contains(got, "\n") {
		t.Errorf("the releases after an upgrade are %q, want only 2.0", got)
	}
}

// upgradeKilled upgrades to the second version, and kills the maintainer script after it has replaced the first instance.
// Then dpkg --configure must replace both instances.
func (u upgrades) upgradeKilled(t *testing.T, m *kit.Machine) {
	t.Helper()
	underLoad(t, m, u.port, "a killed upgrade", func() {
		p := m.Start(t, "apt-get", "install", "-y", copyIn(t, m, u.second))
		m.AwaitJournal(t, "instance 2.0", "-u", u.name+"@1.service")
		// Without the brackets, the pattern would also match this shell.
		m.Sh(t, "pkill -KILL -f ["+u.name[:1]+"]"+u.name[1:]+".postinst")
		if r := p.Wait(); r.Code == 0 {
			t.Errorf("apt-get install succeeded although the maintainer script was killed: %v", r)
		}
		m.Sh(t, "dpkg --configure -a")
	})
	u.wantRunning(t, m, "2.0")
}

// upgradeToBroken upgrades to a version that does not run. apt-get must fail, and the old version must run, also after a
// reboot. Then upgradeToBroken upgrades to the fixed version.
func (u upgrades) upgradeToBroken(t *testing.T, m *kit.Machine) {
	t.Helper()
	underLoad(t, m, u.port, "a failed upgrade", func() {
		r := m.Try("apt-get install -y " + copyIn(t, m, u.broken))
		if r.Code == 0 || !strings.Contains(r.Stdout+r.Stderr, "the old release runs") ||
			!strings.Contains(r.Stdout+r.Stderr, "broken on purpose") {
			t.Errorf("an upgrade to a broken version: want an error with the log of the program: %v", r)
		}
	})
	u.wantRunning(t, m, "2.0")
	if got := m.Sh(t, "dpkg-query -W -f '${Status}' "+u.name); got != "install ok half-configured" {
		t.Errorf("the state in dpkg after a failed upgrade is %q, want \"install ok half-configured\"", got)
	}
	m.Reboot(t)
	u.wantRunning(t, m, "2.0")
	underLoad(t, m, u.port, "the fixed upgrade", func() { m.Sh(t, "apt-get install -y "+copyIn(t, m, u.fixed)) })
	u.wantRunning(t, m, "4.0")
}

// The method remove removes and purges the package. The parameter filesBefore is the output of listFiles before the
// installation. The machine must then have the same files.
func (u upgrades) remove(t *testing.T, m *kit.Machine, filesBefore []string) {
	t.Helper()
	m.Sh(t, "apt-get remove -y "+u.name)
	if r := m.Try(fmt.Sprintf("curl -sS --max-time 5 http://127.0.0.1:%d/", u.port)); r.Code != 7 {
		t.Errorf("curl after the removal of %s: got exit status %d, want 7 (connection refused): %v", u.name, r.Code, r)
	}
	m.Sh(t, "apt-get purge -y "+u.name)
	kit.WantSameLines(t, filesBefore, listFiles(t, m))
}

// TestPackageOfANativeApp installs, upgrades and removes the package of a native app on machines without clusterctl.
func TestPackageOfANativeApp(t *testing.T) {
	u := nativeUpgrades(t)
	kit.BareMachines(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		before := prepare(t, m)
		if m.Release() == lab.Sid {
			u.installWithoutStart(t, m)
		} else {
			u.install(t, m)
		}
		if r := m.Try("find / -xdev -name '*clusterctl*' -not -path '/*/clusterctl-apps*' -not -path '/proc/*' -not -path " +
			"'/run/*' -not -name clusterctl-hello.slice"); r.Stdout != "" {
			t.Errorf("the package of the app has installed files of clusterctl: %s", r.Stdout)
		}
		if got := m.Sh(t, "find /opt/clusterctl-apps /usr/lib/clusterctl-apps -name .env -o -name .git; "+
			"stat -c %U /var/lib/clusterctl-apps/hello/data/starts; ps -o user= -C go-worker | sort -u"); got != "hello\nhello" {
			t.Errorf("the package contains .env or .git, or the user of its files or processes is not hello: %q", got)
		}
		if m.Release() == lab.Bookworm {
			u.upgradeKilled(t, m)
		} else {
			u.upgrade(t, m)
		}
		u.upgradeToBroken(t, m)
		if got := m.Sh(t, "sort -u /var/lib/clusterctl-apps/hello/data/starts"); got != "1.0\n2.0\n4.0" {
			t.Errorf("data/starts contains the versions %q, want 1.0, 2.0 and 4.0", got)
		}
		u.remove(t, m, before)
	})
}

// nativeUpgrades builds packages for systemd 247, the oldest supported version, because the test installs the packages on
// all releases.
func nativeUpgrades(t *testing.T) upgrades {
	t.Helper()
	p := nativeProject(t)
	u := upgrades{project: p}
	p.release(t, "1.0")
	u.first = p.pack(t, 247, "1.0")
	p.release(t, "2.0")
	u.second = p.pack(t, 247, "2.0")
	p.write(t, "run.sh", "#!/bin/sh\necho broken on purpose\nexit 3\n", 0o755)
	u.broken = p.pack(t, 247, "3.0")
	p.release(t, "4.0")
	u.fixed = p.pack(t, 247, "4.0")
	return u
}

// nodeUpgrades builds packages of the Node server. clusterctl reads the version of each package from package.json. The
// broken version first listens, so systemd reports it as started. Then the broken version exits before it accepts a
// connection, so no request is lost.
func nodeUpgrades(t *testing.T, systemd int) upgrades {
	t.Helper()
	p := nodeProject(t)
	u := upgrades{project: p}
	p.nodeRelease(t, "1.0.0", "")
	u.first = p.pack(t, systemd, "")
	p.nodeRelease(t, "2.0.0", "")
	u.second = p.pack(t, systemd, "")
	p.nodeRelease(t, "3.0.0", ", () => { console.log('broken on purpose'); process.exit(1) }")
	u.broken = p.pack(t, systemd, "")
	p.nodeRelease(t, "4.0.0", "")
	u.fixed = p.pack(t, systemd, "")
	return u
}
