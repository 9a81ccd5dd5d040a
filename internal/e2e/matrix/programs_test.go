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

// fromDebian unpacks packages and their dependencies into a machine, without configuring them. The machine has no network,
// so this process downloads them; the host must run the same Debian.
func fromDebian(t testing.TB, m *kit.Machine, packages ...string) {
	t.Helper()
	depends := append([]string{"depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts",
		"--no-breaks", "--no-replaces", "--no-enhances"}, packages...)
	out, err := exec.Command("apt-cache", depends...).Output()
	if err != nil {
		t.Fatalf("apt-cache: %v", err)
	}
	there := kit.Lines(m.Sh(t, "dpkg-query -W -f '${Package}\\n'"))
	var missing []string
	for _, name := range kit.Lines(string(out)) {
		if c := name[0]; (c >= 'a' && c <= 'z' || c >= '0' && c <= '9') && !slices.Contains(there, name) {
			missing = append(missing, name)
		}
	}
	dir := t.TempDir()
	get := exec.Command("apt-get", append([]string{"download", "-q"}, missing...)...)
	get.Dir = dir
	if out, err := get.CombinedOutput(); err != nil {
		t.Fatalf("apt-get download: %v\n%s", err, out)
	}
	copyTree(t, m, dir, srv+"/debs")
	m.Sh(t, "for f in "+srv+"/debs/*.deb; do dpkg-deb --fsys-tarfile $f | tar -x -C / --keep-directory-symlink; done; rm -r "+
		srv+"/debs; ldconfig")
}

// reloads is how often each program is reloaded under load.
const reloads = 3

// row is one line of docs/programs.md.
type row struct {
	program, version, where, done string
	requests, refused, failed     int
}

func (r row) String() string {
	return fmt.Sprintf("| %s | %s | %s | %s | %d | %d | %d |", r.program, r.version, r.where, r.done, r.requests, r.refused, r.failed)
}

// TestProgramsOfTheWorld runs popular servers unmodified, and writes the results to the file that the variable PROGRAMS
// names.
func TestProgramsOfTheWorld(t *testing.T) {
	rows := append(silencersOfTheWorld(t), unixPrograms(t)...)
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

const programsHead = `<!-- Made by "make programs". Edits are lost: change internal/e2e/matrix/programs_test.go. -->

# Programs as they are

Run on %s on Debian 12 (systemd 252). Each program ran unchanged in two instances, under load that never sends a
request again, and was reloaded %d times. A request is refused if nobody took the connection.
It has failed if it got no answer. A kill or a restart may cut the requests that are being answered; none may be refused.

| program | version | listens on | what was done | requests | refused | failed |
|---|---|---|---|--:|--:|--:|
`

// version returns the version of a package of Debian: the installed version, or the available one if the package was only
// unpacked.
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

// silencersOfTheWorld tests servers that shut their listener down when they stop: daphne (Twisted) and the HTTP server of
// Java under load, and Python's gRPC server with its own client.
func silencersOfTheWorld(t *testing.T) []row {
	m := suite().Shared(t, lab.Workers)
	fromDebian(t, m, "daphne", "python3-grpcio", "openjdk-17-jdk-headless")
	drain := []string{"--drain-timeout", "5s"}
	daphne := silencedServer(t, install(t, m, "daphne", 2, 8761,
		append(drain, "x", "--", "daphne", "-b", "0.0.0.0", "-p", "8761", "asgi:app")...))
	java := silencedServer(t, install(t, m, "java", 2, 8763,
		append(portFlags(8763, drain...), "x", "--", "/usr/lib/jvm/java-17-openjdk-amd64/bin/java", "Hello.java")...))

	g := install(t, m, "grpc", 2, 8762, append(portFlags(8762, drain...), "grpc_server.py")...)
	asked := 0
	ask := func() {
		m.Sh(t, fmt.Sprintf("python3 %s/grpc_client.py 127.0.0.1:8762 %d", srv, calls))
		asked += calls
	}
	ask()
	for range reloads {
		m.Must(t, "reload", g.Name)
		ask()
	}
	m.Must(t, "restart", g.Name)
	ask()
	m.Must(t, "stop", g.Name)
	m.Must(t, "start", g.Name)
	ask()
	silenced := "reloads, a kill, a restart"
	return []row{
		{"daphne (Twisted)", version(t, m, "daphne"), "TCP", silenced, daphne.Requests, daphne.Refused, daphne.Failed()},
		{"Java, com.sun.net.httpserver", version(t, m, "openjdk-17-jdk-headless"), "TCP", silenced, java.Requests,
			java.Refused, java.Failed()},
		{"Python gRPC", version(t, m, "python3-grpcio"), "TCP", "reloads, a restart, stop and start; asked after each", asked, 0, 0},
	}
}

// calls is how many requests the gRPC client sends in one run. The run fails if one of them fails.
const calls = 50

// silencedServer replaces the workers of a server under load, and fails the test when a connection is refused.
func silencedServer(t *testing.T, a kit.App) load.Report {
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
		t.Errorf("%s: %v", a.Name, r)
	}
	wantAllAnswer(t, a, "/hello", hello)
	return r
}

// unixPrograms runs TestUnixPrograms with every program in every place.
func unixPrograms(t *testing.T) (rows []row) {
	cases := unixCases()
	rows = make([]row, len(cases))
	m := testUnixPrograms(t, cases, func(c unixCase, r load.Report) {
		where := "a Unix socket in its directory"
		if strings.HasPrefix(c.path, "/run/") {
			where = "a Unix socket in /run"
		}
		if c.given {
			where += ", with --listen"
		}
		i := slices.IndexFunc(cases, func(one unixCase) bool { return one.name == c.name })
		rows[i] = row{c.pkg, "", where, "reloads behind nginx", r.Requests, r.Refused, r.Failed()}
	})
	for i, r := range rows {
		rows[i].version = version(t, m, r.program)
	}
	return rows
}
