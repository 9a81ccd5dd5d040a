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

// oldVersion and newVersion are the versions of the package before and after the upgrade.
const oldVersion, newVersion = "0.0.1", "0.0.2"

// TestPackageOfClusterctl installs the package of clusterctl on new machines, installs apps with clusterctl, upgrades the
// package under load, removes the package and purges it. While clusterctl is installed, the test also installs, upgrades
// and purges the package of an adopted app.
func TestPackageOfClusterctl(t *testing.T) {
	first := debFile(makeDeb(t, top, oldVersion, nil, "amd64"), oldVersion, "amd64")
	second := debFile(makeDeb(t, top, newVersion, nil, "amd64"), newVersion, "amd64")
	kit.BareMachines(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		m.WriteFile(t, "/srv/packages/node/server.js", "require('http').createServer((q, r) => r.end('adopted')).listen(8293)\n", 0o644)
		m.CopyIn(t, lab.Build(t, "./packaging/examples/go-worker"), "/srv/packages/go-worker")
		before := prepare(t, m)
		u := nodeUpgrades(t, m.Systemd(t))
		m.Sh(t, "apt-get install -y "+copyIn(t, m, first))
		wantFilesOfPackage(t, m)
		m.Sh(t, "clusterctl install hello -i 2 -l 8292 --settle 200ms -- /srv/packages/go-worker")
		m.Sh(t, "clusterctl install /srv/packages/node/server.js --name adopted -i 2 --listen 8293 --settle 200ms --no-probe")

		upgradeClusterctl(t, m, second)
		wantPackageOfInstalledApp(t, m)
		wantPackageRefused(t, m)
		u.install(t, m)
		u.upgrade(t, m)
		// An administrator can reload the packaged app with systemctl and with clusterctl.
		underLoad(t, m, u.port, "a reload of a packaged app", func() {
			m.Sh(t, "systemctl reload shop && clusterctl reload shop")
		})
		wantReadOnlyApp(t, m)
		u.upgradeToBroken(t, m)
		m.Sh(t, "apt-get purge -y shop")
		removeClusterctl(t, m, second)
		m.Sh(t, "clusterctl uninstall --yes hello; clusterctl uninstall --yes adopted")
		// An administrator may have moved /var/lib/clusterctl to another disk, and replaced the directory with a link.
		m.Sh(t, "test ! -e /var/lib/clusterctl; mkdir /srv/packages/state; ln -s /srv/packages/state /var/lib/clusterctl; "+
			"apt-get purge -y clusterctl; rm /var/lib/clusterctl")
		kit.WantSameLines(t, before, listFiles(t, m))
	})
}

// wantPackageOfInstalledApp runs "clusterctl package" with the name of an installed app in the machine, and checks the
// contents of the package.
func wantPackageOfInstalledApp(t *testing.T, m *kit.Machine) {
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

// wantPackageRefused fails the test unless apt-get refuses the package of an app that clusterctl has installed.
func wantPackageRefused(t *testing.T, m *kit.Machine) {
	t.Helper()
	before := m.MainPID(t, "adopted@1.service")
	r := m.Try("apt-get install -y /srv/packages/adopted_7_all.deb")
	if r.Code == 0 || !strings.Contains(r.Stdout+r.Stderr, "hint: clusterctl uninstall adopted") {
		t.Errorf("apt-get install of an app that clusterctl has installed: want an error with a hint: %v", r)
	}
	if pid := m.MainPID(t, "adopted@1.service"); pid != before {
		t.Errorf("a refused package has restarted adopted@1: the PID was %d, and is %d", before, pid)
	}
	m.Sh(t, "dpkg --verify clusterctl; ! dpkg -s adopted 2>/dev/null | grep -q '^Status: .* installed'")
}

// wantReadOnlyApp fails the test unless clusterctl shows an app that a package has installed. clusterctl must refuse to
// change this app.
func wantReadOnlyApp(t *testing.T, m *kit.Machine) {
	t.Helper()
	if got := m.Sh(t, "clusterctl ls; clusterctl show shop; clusterctl cat shop; clusterctl diff --all || "+
		"test $? = 3"); !strings.Contains(got, "/opt/clusterctl-apps/shop/current/clusterctl.yaml") {
		t.Errorf("clusterctl does not show the files of the packaged app:\n%s", got)
	}
	for _, c := range []string{"uninstall --yes shop", "scale shop 3", "install shop -i 1 --listen 8299 -- /srv/packages/go-worker"} {
		r := m.Try("clusterctl " + c)
		if r.Code != 1 || !strings.Contains(r.Stderr, "sudo apt-get remove shop") {
			t.Errorf("clusterctl %s: want exit status 1 and a hint to apt-get: %v", c, r)
		}
	}
}

// wantFilesOfPackage fails the test unless the files of the package exist at the paths where other programs expect them.
func wantFilesOfPackage(t *testing.T, m *kit.Machine) {
	t.Helper()
	if got := m.Sh(t, "clusterctl version"); !strings.Contains(got, "clusterctl "+oldVersion) {
		t.Errorf("clusterctl version prints %q, want %s", got, oldVersion)
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
	// bash is the only shell on these machines. wantCompletions tests the other shells on the host.
	m.Sh(t, "bash -c '. /usr/share/bash-completion/completions/clusterctl && complete -p clusterctl'")
	if got := m.Sh(t, "dpkg --verify clusterctl; cat /var/lib/dpkg/info/clusterctl.conffiles 2>/dev/null || true"); got != "" {
		t.Errorf("dpkg --verify or the list of configuration files is not empty: %s", got)
	}
}

// appState is a script that prints the PIDs and the unit files of the apps. An upgrade of clusterctl must not change the
// output of this script.
const appState = `systemctl show -p MainPID --value hello@1 hello@2 adopted@1 adopted@2; cd /etc/systemd/system; ` +
	`cat hello.service hello@.service adopted@.service`

// upgradeClusterctl upgrades the package of clusterctl under load. The apps must not change.
func upgradeClusterctl(t *testing.T, m *kit.Machine, deb string) {
	t.Helper()
	before := m.Sh(t, appState)
	underLoad(t, m, 8292, "an upgrade of clusterctl, native", func() {
		underLoad(t, m, 8293, "an upgrade of clusterctl, adopted", func() { m.Sh(t, "apt-get install -y "+copyIn(t, m, deb)) })
	})
	if after := m.Sh(t, appState); after != before {
		t.Errorf("an upgrade of clusterctl has changed PIDs or unit files, which were\n%s\nand are\n%s", before, after)
	}
	if got := m.Sh(t, "clusterctl version"); !strings.Contains(got, "clusterctl "+newVersion) {
		t.Errorf("clusterctl version prints %q after the upgrade, want %s", got, newVersion)
	}
}

// removeClusterctl removes the package of clusterctl, and installs it again. Without the package, running apps must
// continue to run, and a native app must restart after a crash. apt-get must print which apps need the shim.
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
		underLoad(t, m, 8292, "a restart and a reload without clusterctl", func() {
			m.Sh(t, "systemctl restart hello@1; systemctl reload hello")
		})
		old := m.MainPID(t, "hello@2.service")
		// After the sync, all lines of the current process are in the journal. The times of these lines are earlier than
		// the time in the variable since.
		since := m.Sh(t, "journalctl --sync; date '+%F %T.%6N'")
		m.Sh(t, "systemctl kill -s KILL hello@2.service")
		m.AwaitJournal(t, "listening", "-u", "hello@2.service", "--since", since)
		if got := m.Sh(t, "systemctl show -p MainPID --value hello@2.service"); got == fmt.Sprint(old) {
			t.Errorf("hello@2 has the PID %s after the kill, want a new process", got)
		}
		if got := m.Get(t, fmt.Sprintf("http://127.0.0.1:%d/", 8292)); !strings.Contains(got, "hello from") {
			t.Errorf("the response of hello after the removal is %q, want \"hello from\" in it", got)
		}
	})
	m.Sh(t, "apt-get install -y /srv/packages/"+filepath.Base(deb))
}

// TestReleaseIsReproducible builds a release twice with "make release", in different directories and with different
// environment variables. All files of both builds must be equal. The test also checks the contents of the package.
func TestReleaseIsReproducible(t *testing.T) {
	tree := filepath.Join(t.TempDir(), "another", "tree")
	runOnHost(t, top, nil, "sh", "-c", `mkdir -p "$0" && git ls-files -z --cached --others --exclude-standard | `+
		`xargs -0 cp --parents -t "$0"`, tree)
	one, two := t.TempDir(), t.TempDir()
	args := []string{"make", "-s", "release", "VERSION=" + newVersion, "SOURCE_DATE_EPOCH=1795458313", "ARCHES=amd64"}
	runOnHost(t, top, nil, append(args, "DIST="+one)...)
	runOnHost(t, tree, []string{"TZ=Asia/Tokyo", "LC_ALL=C", "DPKG_DEB_THREADS_MAX=2"}, append(args, "DIST="+two)...)
	runOnHost(t, one, nil, "sha256sum", "--check", "--strict", "SHA256SUMS")
	want := []string{
		"SHA256SUMS", "clusterctl-shim_0.0.2_linux_amd64.cdx.json", "clusterctl_0.0.2-1_amd64.deb",
		"clusterctl_0.0.2_linux_amd64.cdx.json", "clusterctl_0.0.2_linux_amd64.tar.gz",
	}
	if got := strings.Fields(runOnHost(t, one, []string{"LC_ALL=C"}, "ls")); !slices.Equal(got, want) {
		t.Errorf("got the files %q in the release, want %q", got, want)
	}
	for _, name := range want {
		if a, b := read(t, filepath.Join(one, name)), read(t, filepath.Join(two, name)); a != b {
			t.Errorf("%s differs between the two builds: %d and %d bytes, want equal files", name, len(a), len(b))
		}
	}
	if list := runOnHost(t, one, nil, "tar", "-tzf", want[4]); !strings.Contains(list, "clusterctl-0.0.2/usr/bin/clusterctl\n") {
		t.Errorf("the tarball does not contain clusterctl-0.0.2/usr/bin/clusterctl:\n%s", list)
	}
	deb := filepath.Join(one, want[2])
	lintian(t, deb)
	wantCopyright(t, deb)
	wantCompletions(t, deb)
	wantMaterials(t, deb, filepath.Join(one, want[1]), "usr/lib/clusterctl/clusterctl-shim")
	wantMaterials(t, deb, filepath.Join(one, want[3]), "usr/bin/clusterctl")
}

// unpack unpacks the files of a package into a new directory of the host, and returns the path of this directory.
func unpack(t *testing.T, deb string) string {
	t.Helper()
	dir := t.TempDir()
	runOnHost(t, "/", nil, "dpkg-deb", "-x", deb, dir)
	return dir
}

// wantMaterials fails the test unless the bill of materials in the file bill lists exactly the modules of a program and
// the standard library, and a licence for each module.
func wantMaterials(t *testing.T, deb, bill, program string) {
	t.Helper()
	dir := unpack(t, deb)
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
			t.Errorf("%s does not list the module %s %s of %s with a licence",
				filepath.Base(bill), m.Path, m.Version, program)
		}
	}
	if want := len(info.Deps) + 1; len(listed) != want { // the modules and the standard library
		t.Errorf("%s lists %d components, want %d", filepath.Base(bill), len(listed), want)
	}
}

// wantCompletions fails the test unless bash, zsh and fish on the host can load their completions from the package.
func wantCompletions(t *testing.T, deb string) {
	t.Helper()
	dir := unpack(t, deb)
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
			t.Errorf("the completion of %s: got %q, want %q in it", c.argv[0], got, c.want)
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

// TestPackageForArm64 builds the package for arm64, and checks that its programs are for arm64.
func TestPackageForArm64(t *testing.T) {
	deb := debFile(makeDeb(t, top, newVersion, nil, "arm64"), newVersion, "arm64")
	lintian(t, deb)
	dir := unpack(t, deb)
	for _, p := range []string{"usr/bin/clusterctl", "usr/lib/clusterctl/clusterctl-shim"} {
		info, err := buildinfo.ReadFile(filepath.Join(dir, p))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(fmt.Sprint(info.Settings), "{GOARCH arm64}") {
			t.Errorf("the build settings of %s are %v, want GOARCH arm64", p, info.Settings)
		}
	}
}

// lintian fails the test unless lintian prints no error and no warning for the package.
func lintian(t *testing.T, deb string) {
	t.Helper()
	out, err := exec.Command("lintian", "--pedantic", "--fail-on", "error,warning,pedantic", "--allow-root", deb).CombinedOutput()
	if err != nil {
		t.Errorf("lintian: %v\n%s", err, out)
	}
}

// wantCopyright fails the test unless the copyright file in the package lists all modules of the programs.
func wantCopyright(t *testing.T, deb string) {
	t.Helper()
	dir := unpack(t, deb)
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
				t.Errorf("the copyright file does not list %s, a module of %s", m.Path, p)
			}
		}
	}
	if n < 5 {
		t.Errorf("the programs have %d modules, want at least 5", n)
	}
}
