//go:build lab

package deb

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// The versions of the package before and after the upgrade.
const older, newer = "0.0.1", "0.0.2"

// TestPackageOfClusterctl installs the package of clusterctl on new machines, uses clusterctl, upgrades the package under
// load, removes it and purges it. In between it does the same with the package of an adopted app.
func TestPackageOfClusterctl(t *testing.T) {
	first := debFile(makeDeb(t, top, older, nil, "amd64"), older, "amd64")
	second := debFile(makeDeb(t, top, newer, nil, "amd64"), newer, "amd64")
	kit.BareMachines(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		m.WriteFile(t, "/srv/packages/node/server.js", "require('http').createServer((q, r) => r.end('adopted')).listen(8293)\n", 0o644)
		host := nativeWorker(t)
		m.CopyIn(t, host, "/srv/packages/go-worker")
		before := prepare(t, m)
		u := nodeUpgrades(t, m.Systemd(t))
		m.Sh(t, "apt-get install -y "+copyIn(t, m, first))
		wantShipped(t, m)
		m.Sh(t, "clusterctl install hello -i 2 -l 8292 --settle 200ms -- /srv/packages/go-worker")
		m.Sh(t, "clusterctl install /srv/packages/node/server.js --name adopted -i 2 --listen 8293 --settle 200ms --no-probe")

		upgradeClusterctl(t, m, second)
		wantPacked(t, m)
		wantRefused(t, m)
		u.install(t, m)
		u.upgrade(t, m)
		// This is how an administrator reloads an app while clusterctl is installed.
		underLoad(t, m, u.port, "a reload", func() { m.Sh(t, "systemctl reload shop && clusterctl reload shop") })
		wantSeen(t, m)
		u.fail(t, m)
		m.Sh(t, "apt-get purge -y shop")
		removeClusterctl(t, m, second)
		m.Sh(t, "clusterctl uninstall --yes hello; clusterctl uninstall --yes adopted")
		// An administrator may have moved the directory to another disk and replaced it by a link.
		m.Sh(t, "test ! -e /var/lib/clusterctl; mkdir /srv/packages/state; ln -s /srv/packages/state /var/lib/clusterctl; "+
			"apt-get purge -y clusterctl; rm /var/lib/clusterctl")
		kit.WantSameLines(t, before, listFiles(t, m))
	})
}

// wantPacked packages an installed app on the machine itself.
func wantPacked(t *testing.T, m *kit.Machine) {
	t.Helper()
	got := m.Sh(t, "cd /srv/packages && clusterctl package adopted --package-version 7 && "+
		"dpkg-deb -f adopted_7_all.deb Depends && dpkg-deb -c adopted_7_all.deb")
	for _, want := range []string{"\nsystemd (>= " + fmt.Sprint(m.Systemd(t)) + "~), clusterctl, nodejs\n",
		"./usr/lib/clusterctl-apps/adopted/app/server.js\n"} {
		if !strings.Contains("\n"+got, want) {
			t.Errorf("%q is missing in the package of an installed app:\n%s", want, got)
		}
	}
}

// wantRefused fails the test unless a package is refused whose app has units that clusterctl has installed.
func wantRefused(t *testing.T, m *kit.Machine) {
	t.Helper()
	before := m.MainPID(t, "adopted@1.service")
	r := m.Try("apt-get install -y /srv/packages/adopted_7_all.deb")
	if r.Code == 0 || !strings.Contains(r.Stdout+r.Stderr, "hint: clusterctl uninstall adopted") {
		t.Errorf("a package for an app that is already installed: %v", r)
	}
	if m.MainPID(t, "adopted@1.service") != before {
		t.Error("a refused package has restarted the app")
	}
	m.Sh(t, "dpkg --verify clusterctl; ! dpkg -s adopted 2>/dev/null | grep -q '^Status: .* installed'")
}

func nativeWorker(t *testing.T) string {
	t.Helper()
	return lab.Build(t, "./packaging/examples/go-worker")
}

// wantSeen fails the test unless clusterctl shows an app that a package has installed, and refuses to change it.
func wantSeen(t *testing.T, m *kit.Machine) {
	t.Helper()
	if got := m.Sh(t, "clusterctl ls; clusterctl show shop; clusterctl cat shop; clusterctl diff --all || "+
		"test $? = 3"); !strings.Contains(got, "/opt/clusterctl-apps/shop/current/clusterctl.yaml") {
		t.Errorf("clusterctl does not show the files of the packaged app:\n%s", got)
	}
	for _, c := range []string{"uninstall --yes shop", "scale shop 3", "install shop -i 1 --listen 8299 -- /srv/packages/go-worker"} {
		r := m.Try("clusterctl " + c)
		if r.Code != 1 || !strings.Contains(r.Stderr, "sudo apt-get remove shop") {
			t.Errorf("clusterctl %s: %v", c, r)
		}
	}
}

// wantShipped fails the test unless each file of the package is where programs look for it.
func wantShipped(t *testing.T, m *kit.Machine) {
	t.Helper()
	if got := m.Sh(t, "clusterctl version"); !strings.Contains(got, "clusterctl "+older) {
		t.Errorf("clusterctl version: %s", got)
	}
	for _, path := range []string{
		"/usr/bin/clusterctl", "/usr/lib/clusterctl/clusterctl-shim", "/usr/lib/clusterctl/clusterctl-node-preload.cjs",
		"/usr/share/man/man1/clusterctl.1.gz", "/usr/share/man/man5/clusterctl.yaml.5.gz", "/usr/share/man/man7/clusterctl-units.7.gz",
		"/usr/share/doc/clusterctl/changelog.gz", "/usr/share/doc/clusterctl/changelog.Debian.gz", "/usr/share/doc/clusterctl/copyright",
		"/usr/share/doc/clusterctl/examples/go-worker/main.go", "/usr/share/doc/clusterctl/50-clusterctl-operators.rules",
		"/usr/share/clusterctl/clusterctl-output.schema.json", "/usr/share/bash-completion/completions/clusterctl",
		"/usr/share/zsh/vendor-completions/_clusterctl", "/usr/share/fish/vendor_completions.d/clusterctl.fish",
	} {
		m.Sh(t, "test -s "+path)
	}
	// bash is the only shell on these machines, so only its completion is tried here.
	m.Sh(t, "bash -c '. /usr/share/bash-completion/completions/clusterctl && complete -p clusterctl'")
	if got := m.Sh(t, "dpkg --verify clusterctl; cat /var/lib/dpkg/info/clusterctl.conffiles 2>/dev/null || true"); got != "" {
		t.Errorf("dpkg --verify or the list of configuration files is not empty: %s", got)
	}
}

// running is a script that prints what an upgrade of clusterctl must not change: the main processes, and the text of units.
const running = `systemctl show -p MainPID --value hello@1 hello@2 adopted@1 adopted@2; cd /etc/systemd/system; ` +
	`cat hello.service hello@.service adopted@.service`

func upgradeClusterctl(t *testing.T, m *kit.Machine, deb string) {
	t.Helper()
	before := m.Sh(t, running)
	underLoad(t, m, 8292, "an upgrade of clusterctl, native", func() {
		underLoad(t, m, 8293, "an upgrade of clusterctl, adopted", func() { m.Sh(t, "apt-get install -y "+copyIn(t, m, deb)) })
	})
	if after := m.Sh(t, running); after != before {
		t.Errorf("an upgrade of clusterctl has changed the apps:\n%s\nbefore:\n%s", after, before)
	}
	if got := m.Sh(t, "clusterctl version"); !strings.Contains(got, "clusterctl "+newer) {
		t.Errorf("the version after the upgrade: %s", got)
	}
}

// removeClusterctl removes the package. Running apps must go on, a native app must also come back after a crash, and apt
// must name the apps that need the shim.
func removeClusterctl(t *testing.T, m *kit.Machine, deb string) {
	t.Helper()
	underLoad(t, m, 8293, "the removal of clusterctl, adopted", func() {
		out := m.Sh(t, "apt-get remove -y clusterctl 2>&1")
		for _, want := range []string{"these apps continue to work without the package: hello",
			"cannot be started again without clusterctl-shim: adopted"} {
			if !strings.Contains(out, want) {
				t.Errorf("%q is missing in the output of the removal of clusterctl:\n%s", want, out)
			}
		}
		underLoad(t, m, 8292, "a restart without clusterctl", func() {
			m.Sh(t, "systemctl restart hello@1; systemctl reload hello")
		})
		old := m.MainPID(t, "hello@2.service")
		// After the sync, the lines of the killed process are in the journal, with an earlier time.
		since := m.Sh(t, "journalctl --sync; date '+%F %T.%6N'")
		m.Sh(t, "systemctl kill -s KILL hello@2.service")
		m.AwaitJournal(t, "listening", "-u", "hello@2.service", "--since", since)
		if got := m.Sh(t, "systemctl show -p MainPID --value hello@2.service"); got == fmt.Sprint(old) {
			t.Errorf("hello@2 was not killed")
		}
		if got := m.Get(t, fmt.Sprintf("http://127.0.0.1:%d/", 8292)); !strings.Contains(got, "hello from") {
			t.Errorf("after the removal, hello answers %q", got)
		}
	})
	m.Sh(t, "apt-get install -y /srv/packages/"+filepath.Base(deb))
}

// TestReleaseIsReproducible: one command makes all files of a release. Two builds from different directories and with
// different user settings have the same bytes.
func TestReleaseIsReproducible(t *testing.T) {
	tree := filepath.Join(t.TempDir(), "another", "tree")
	runOnHost(t, top, nil, "sh", "-c", `mkdir -p "$0" && git ls-files -z --cached --others --exclude-standard | `+
		`xargs -0 cp --parents -t "$0"`, tree)
	one, two := t.TempDir(), t.TempDir()
	args := []string{"make", "-s", "release", "VERSION=" + newer, "SOURCE_DATE_EPOCH=1795458313", "ARCHES=amd64"}
	runOnHost(t, top, nil, append(args, "DIST="+one)...)
	runOnHost(t, tree, []string{"TZ=Asia/Tokyo", "LC_ALL=C", "DPKG_DEB_THREADS_MAX=2"}, append(args, "DIST="+two)...)
	runOnHost(t, one, nil, "sha256sum", "--check", "--strict", "SHA256SUMS")
	want := []string{
		"SHA256SUMS", "clusterctl-shim_0.0.2_linux_amd64.cdx.json", "clusterctl_0.0.2-1_amd64.deb",
		"clusterctl_0.0.2_linux_amd64.cdx.json", "clusterctl_0.0.2_linux_amd64.tar.gz",
	}
	if got := strings.Fields(runOnHost(t, one, []string{"LC_ALL=C"}, "ls")); !slices.Equal(got, want) {
		t.Errorf("the files of the release are %q, want %q", got, want)
	}
	for _, name := range want {
		if a, b := read(t, filepath.Join(one, name)), read(t, filepath.Join(two, name)); a != b {
			t.Errorf("%s: two builds differ: %d and %d bytes", name, len(a), len(b))
		}
	}
	if list := runOnHost(t, one, nil, "tar", "-tzf", want[4]); !strings.Contains(list, "clusterctl-0.0.2/usr/bin/clusterctl\n") {
		t.Errorf("the tarball holds\n%s", list)
	}
	deb := filepath.Join(one, want[2])
	lintian(t, deb)
	wantCopyright(t, deb)
	wantCompletions(t, deb)
	wantMaterials(t, deb, filepath.Join(one, want[1]), "usr/lib/clusterctl/clusterctl-shim")
	wantMaterials(t, deb, filepath.Join(one, want[3]), "usr/bin/clusterctl")
}

// wantMaterials fails the test unless the bill of materials lists each module of a program in the package with its licence.
func wantMaterials(t *testing.T, deb, bill, program string) {
	t.Helper()
	dir := t.TempDir()
	runOnHost(t, "/", nil, "dpkg-deb", "-x", deb, dir)
	info, err := buildinfo.ReadFile(filepath.Join(dir, program))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Components []struct {
			Name, Version string
			Evidence      struct{ Licenses []any }
		}
	}
	if err := json.Unmarshal([]byte(read(t, bill)), &got); err != nil {
		t.Fatal(err)
	}
	listed := map[string]int{}
	for _, c := range got.Components {
		listed[c.Name+"@"+c.Version] = len(c.Evidence.Licenses)
	}
	for _, m := range info.Deps {
		if listed[m.Path+"@"+m.Version] == 0 {
			t.Errorf("%s: the module %s %s is missing in %s, or has no licence there", program, m.Path, m.Version, filepath.Base(bill))
		}
	}
	if len(listed) != len(info.Deps)+1 { // one more for the standard library
		t.Errorf("%s has %d components, but the program has %d modules", filepath.Base(bill), len(listed), len(info.Deps))
	}
}

// wantCompletions fails the test unless bash, zsh and fish find their completions in the package, and offer the command.
func wantCompletions(t *testing.T, deb string) {
	t.Helper()
	dir := t.TempDir()
	runOnHost(t, "/", nil, "dpkg-deb", "-x", deb, dir)
	path := "PATH=" + filepath.Join(dir, "usr/bin") + ":" + os.Getenv("PATH")
	share := filepath.Join(dir, "usr/share")
	for _, c := range []struct {
		want string
		argv []string
	}{
		{"package", []string{"fish", "--no-config", "-c", "source " + share +
			`/fish/vendor_completions.d/clusterctl.fish; complete -C "clusterctl pack"`}},
		{"_clusterctl", []string{"zsh", "-fc", "fpath=(" + share +
			"/zsh/vendor-completions $fpath); autoload -U compinit; compinit -u -D; print $_comps[clusterctl]"}},
		{"clusterctl", []string{"bash", "-c", ". " + share + "/bash-completion/completions/clusterctl && complete -p clusterctl"}},
	} {
		if got := runOnHost(t, "/", []string{path, "HOME=" + dir}, c.argv...); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q", c.argv[0], got)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestPackageForArm64: the package for arm64 contains programs for arm64.
func TestPackageForArm64(t *testing.T) {
	deb := debFile(makeDeb(t, top, newer, nil, "arm64"), newer, "arm64")
	lintian(t, deb)
	dir := t.TempDir()
	runOnHost(t, "/", nil, "dpkg-deb", "-x", deb, dir)
	for _, p := range []string{"usr/bin/clusterctl", "usr/lib/clusterctl/clusterctl-shim"} {
		info, err := buildinfo.ReadFile(filepath.Join(dir, p))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(fmt.Sprint(info.Settings), "{GOARCH arm64}") {
			t.Errorf("%s is not for arm64: %v", p, info.Settings)
		}
	}
}

// lintian fails the test unless lintian accepts the package. The overrides in the package give their reasons.
func lintian(t *testing.T, deb string) {
	t.Helper()
	out, err := exec.Command("lintian", "--pedantic", "--fail-on", "error,warning,pedantic", "--allow-root", deb).CombinedOutput()
	if err != nil {
		t.Errorf("lintian: %v\n%s", err, out)
	}
}

// wantCopyright fails the test unless the copyright file names every module in the programs.
func wantCopyright(t *testing.T, deb string) {
	t.Helper()
	dir := t.TempDir()
	runOnHost(t, "/", nil, "dpkg-deb", "-x", deb, dir)
	text, err := os.ReadFile(filepath.Join(dir, "usr/share/doc/clusterctl/copyright"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, p := range []string{"usr/bin/clusterctl", "usr/lib/clusterctl/clusterctl-shim"} {
		info, err := buildinfo.ReadFile(filepath.Join(dir, p))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range info.Deps {
			n++
			if !strings.Contains(string(text), m.Path+"/*") {
				t.Errorf("%s is in %s, but not in the copyright file", m.Path, p)
			}
		}
	}
	if n < 5 {
		t.Errorf("found only %d modules", n)
	}
}
