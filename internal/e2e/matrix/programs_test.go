//go:build lab && programs

package matrix

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// unpackDebianPackages unpacks packages and their dependencies into a machine, without running their maintainer scripts.
// The machine has no network, so the host downloads the packages. The host must run the Debian release of the machine.
func unpackDebianPackages(t testing.TB, m *kit.Machine, packages ...string) {
	t.Helper()
	depends := append([]string{"depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts",
		"--no-breaks", "--no-replaces", "--no-enhances"}, packages...)
	out, err := exec.Command("apt-cache", depends...).Output()
	if err != nil {
		t.Fatalf("apt-cache: %v", err)
	}
	installed := kit.Lines(m.Sh(t, "dpkg-query -W -f '${Package}\\n'"))
	var missing []string
	for _, name := range kit.Lines(string(out)) {
		if c := name[0]; (c >= 'a' && c <= 'z' || c >= '0' && c <= '9') && !slices.Contains(installed, name) {
			missing = append(missing, name)
		}
	}
	dir := t.TempDir()
	get := exec.Command("apt-get", append([]string{"download", "-q"}, missing...)...)
	get.Dir = dir
	if out, err := get.CombinedOutput(); err != nil {
		t.Fatalf("apt-get download: %v\n%s", err, out)
	}
	m.CopyTree(t, dir, srv+"/debs")
	m.Sh(t, "for f in "+srv+"/debs/*.deb; do dpkg-deb --fsys-tarfile $f | tar -x -C / --keep-directory-symlink; done; rm -r "+
		srv+"/debs; ldconfig")
}

// The constant reloads is the number of reloads of each program under load.
const reloads = 3

// row is one row of the table in docs/programs.md.
type row struct {
	program, version          string
	listensOn, events         string
	requests, refused, failed int
}

func (r row) String() string {
	return fmt.Sprintf("| %s | %s | %s | %s | %d | %d | %d |",
		r.program, r.version, r.listensOn, r.events, r.requests, r.refused, r.failed)
}

// TestProgramsOfTheWorld runs popular servers unmodified, and writes the results to the file in the environment variable
// PROGRAMS.
func TestProgramsOfTheWorld(t *testing.T) {
	rows := append(runShutdownServers(t), runUnixPrograms(t)...)
	file := os.Getenv("PROGRAMS")
	if t.Failed() || file == "" {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, programsHead, time.Now().UTC().Format(time.DateOnly), reloads)
	for _, r := range rows {
		fmt.Fprintln(&b, r)
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		t.Error(err)
	}
}

const programsHead = `<!-- "make programs" overwrites this file. To change it, edit internal/e2e/matrix/programs_test.go. -->

# Tests of unmodified programs

These are the results of a test on %s on Debian 12 (systemd 252). Each program ran unmodified in two instances, and was
reloaded %d times while clients sent requests. The clients did not repeat failed requests. A refused request is a request
whose connection was refused. A failed request is a request without a complete response. A kill or a restart may cause failed
requests, but must not cause refused requests.

| program | version | listens on | events | requests | refused | failed |
|---|---|---|---|--:|--:|--:|
`

// The function version returns the version of a Debian package. If the package is not installed in the machine, the
// function returns the version that the host can download.
func version(t testing.TB, m *kit.Machine, name string) string {
	t.Helper()
	if v := strings.TrimSpace(m.Sh(t, "dpkg-query -W -f '${Version}' "+name+" 2>/dev/null || true")); v != "" {
		return v
	}
	out, err := exec.Command("apt-cache", "show", "--no-all-versions", name).Output()
	if err != nil {
		t.Fatalf("apt-cache show %s: %v", name, err)
	}
	for line := range strings.Lines(string(out)) {
		if v, ok := strings.CutPrefix(line, "Version: "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// runShutdownServers runs servers that call shutdown(2) on their listener when they stop: daphne (Twisted), the HTTP
// server of Java, and Python's gRPC server. runShutdownServers returns a row for each server.
func runShutdownServers(t *testing.T) []row {
	m := suite().Shared(t, lab.Workers)
	unpackDebianPackages(t, m, "daphne", "python3-grpcio", "openjdk-17-jdk-headless")
	drain := []string{"--drain-timeout", "5s"}
	daphne := reloadKillRestart(t, install(t, m, "daphne", 2, 8761,
		append(drain, "x", "--", "daphne", "-b", "0.0.0.0", "-p", "8761", "asgi:app")...))
	java := reloadKillRestart(t, install(t, m, "java", 2, 8763,
		append(portFlags(8763, drain...), "x", "--", "/usr/lib/jvm/java-17-openjdk-amd64/bin/java", "Hello.java")...))

	g := install(t, m, "grpc", 2, 8762, append(portFlags(8762, drain...), "grpc_server.py")...)
	requests := 0
	call := func() {
		m.Sh(t, fmt.Sprintf("python3 %s/grpc_client.py 127.0.0.1:8762 %d", srv, calls))
		requests += calls
	}
	call()
	for range reloads {
		m.Must(t, "reload", g.Name)
		call()
	}
	m.Must(t, "restart", g.Name)
	call()
	m.Must(t, "stop", g.Name)
	m.Must(t, "start", g.Name)
	call()
	events := "reloads, a kill, a restart"
	return []row{
		{"daphne (Twisted)", version(t, m, "daphne"), "TCP", events, daphne.Requests, daphne.Refused, daphne.Failed()},
		{"Java, com.sun.net.httpserver", version(t, m, "openjdk-17-jdk-headless"), "TCP", events, java.Requests,
			java.Refused, java.Failed()},
		{"Python gRPC", version(t, m, "python3-grpcio"), "TCP", "reloads, a restart, stop and start, with requests after each",
			requests, 0, 0},
	}
}

// The constant calls is the number of requests in one run of the gRPC client. The client fails if a request fails.
const calls = 50

// reloadKillRestart reloads an app, kills a worker and restarts the app under load. If a connection is refused, the test
// fails. reloadKillRestart returns the report of the load.
func reloadKillRestart(t *testing.T, a kit.App) load.Report {
	m := a.Machine
	wantAllAnswer(t, a, "/hello", hello)
	run := load.Start(t, m, load.Options{URL: a.URL("/hello"), Conns: 4, Rate: rate / 10, WorkerHeader: bodies})
	for range reloads {
		m.Must(t, "reload", a.Name)
	}
	awaitReplacement(t, a, 1, func() { kill(t, m, m.MainPID(t, a.Unit(1))) })
	m.Must(t, "restart", a.Name)
	r := run.Stop()
	t.Logf("%s, reloads, a kill and a restart: %v", a.Name, r)
	if r.Refused > 0 || r.OK == 0 {
		t.Errorf("%s: %d connections were refused, want 0: %v", a.Name, r.Refused, r)
	}
	wantAllAnswer(t, a, "/hello", hello)
	return r
}

// runUnixPrograms runs all cases of unixCases, and returns a row for each case.
func runUnixPrograms(t *testing.T) (rows []row) {
	cases := unixCases()
	rows = make([]row, len(cases))
	m := testUnixPrograms(t, cases, func(c unixCase, r load.Report) {
		listensOn := "a Unix socket in its directory"
		if strings.HasPrefix(c.path, "/run/") {
			listensOn = "a Unix socket in /run"
		}
		if c.listen {
			listensOn += ", with --listen"
		}
		i := slices.IndexFunc(cases, func(other unixCase) bool { return other.name == c.name })
		rows[i] = row{c.pkg, "", listensOn, "reloads behind nginx", r.Requests, r.Refused, r.Failed()}
	})
	for i, r := range rows {
		rows[i].version = version(t, m, r.program)
	}
	return rows
}
