//go:build lab && programs

package matrix

import (
	"fmt"
	"os/exec"
	"slices"
	"testing"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// fromDebian unpacks packages, and all that they need, into a machine. The machine has no network, so this one downloads them;
// both run the same Debian. Nothing of what is unpacked is configured.
func fromDebian(t testing.TB, m *lab.Machine, packages ...string) {
	t.Helper()
	depends := append([]string{"depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks", "--no-replaces", "--no-enhances"}, packages...)
	out, err := exec.Command("apt-cache", depends...).Output()
	if err != nil {
		t.Fatalf("apt-cache: %v", err)
	}
	there := lines(m.Sh(t, "dpkg-query -W -f '${Package}\\n'"))
	var missing []string
	for _, name := range lines(string(out)) {
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
	m.Sh(t, "for f in "+srv+"/debs/*.deb; do dpkg-deb --fsys-tarfile $f | tar -x -C / --keep-directory-symlink; done; rm -r "+srv+"/debs; ldconfig")
}

// TestSilencersOfTheWorld: servers that shut their listener down when they stop, as they are: daphne (Twisted) under load
// that never retries, Python's gRPC server, asked by its own client, and the HTTP server of Java.
func TestSilencersOfTheWorld(t *testing.T) {
	m := workers(t)
	fromDebian(t, m, "daphne", "python3-grpcio", "openjdk-17-jdk-headless")
	drain := []string{"--drain-timeout", "5s"}
	silencedServer(t, install(t, m, "daphne", 2, 8761, append(drain, "x", "--", "daphne", "-b", "0.0.0.0", "-p", "8761", "asgi:app")...))
	silencedServer(t, install(t, m, "java", 2, 8763, append(port(8763, drain...), "x", "--", "/usr/lib/jvm/java-17-openjdk-amd64/bin/java", "Hello.java")...))

	g := install(t, m, "grpc", 2, 8762, append(port(8762, drain...), "grpc_server.py")...)
	client := fmt.Sprintf("python3 %s/grpc_client.py 127.0.0.1:8762", srv)
	m.Sh(t, client)
	for range 3 {
		must(t, m, "reload", g.name)
		m.Sh(t, client)
	}
	must(t, m, "restart", g.name)
	m.Sh(t, client)
	must(t, m, "stop", g.name)
	must(t, m, "start", g.name)
	m.Sh(t, client)
}

// silencedServer replaces the workers of a server under load: no connection is refused.
func silencedServer(t *testing.T, a *app) {
	m := a.m
	a.everyOne(t, "/hello", hello)
	run := load.Start(t, m, load.Options{URL: a.url("/hello"), Conns: 4, Rate: rate / 10, WorkerHeader: bodies})
	for range 3 {
		must(t, m, "reload", a.name)
	}
	a.killed(t, 1, func() { kill(t, m, m.MainPID(t, a.unit(1))) })
	must(t, m, "restart", a.name)
	r := run.Stop()
	t.Logf("%s, three reloads, a kill and a restart: %v", a.name, r)
	if r.Refused > 0 || r.OK == 0 {
		t.Errorf("%s: %v", a.name, r)
	}
	a.everyOne(t, "/hello", hello)
}

// TestUnixProgramsOfTheWorld is TestUnixPrograms with every program in every place.
func TestUnixProgramsOfTheWorld(t *testing.T) { testUnixPrograms(t, unixCases()) }
