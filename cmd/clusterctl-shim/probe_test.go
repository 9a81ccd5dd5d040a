package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
)

// probeOf runs "probe" with the arguments and returns the report.
func probeOf(t *testing.T, args ...string) (r contract.Report) {
	t.Helper()
	cmd := exec.Command(shim, append([]string{"probe"}, args...)...)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET=/nowhere")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	return r
}

// listener returns the bind of a non-blocking stream listener in an epoll instance.
func listener(family, address string, port, backlog int) contract.ProbeBind {
	return contract.ProbeBind{
		Family: family, Type: "stream", Address: address, Port: uint16(port),
		Listening: true, Backlog: backlog, NonBlocking: true, Epoll: true,
	}
}

// epoll returns the report of a program with listeners in epoll instances.
func epoll(binds ...contract.ProbeBind) contract.Report {
	return contract.Report{NonBlocking: true, Binds: binds}
}

// blockingReport returns the report of a program with a blocking IPv4 listener on all addresses.
func blockingReport(port, backlog int, inAccept bool) contract.Report {
	b := listener("inet", "0.0.0.0", port, backlog)
	b.NonBlocking, b.Epoll, b.BlockingAccept = false, false, inAccept
	return contract.Report{HoldAccept: true, Binds: []contract.ProbeBind{b}}
}

// exitReport returns the report of a program that ends without listening. The parameter leftRunning contains the names of the
// processes that still run.
func exitReport(status string, leftRunning ...string) contract.Report {
	return contract.Report{NonBlocking: true, Exited: true, Status: contract.Exit{Code: "exited", Status: status}, Left: leftRunning}
}

// TestProbe checks the reports for programs that listen, programs that run without listening, and programs that end.
func TestProbe(t *testing.T) {
	// Listen on the ports as a running instance does. These listeners must not affect the probe.
	_, a4 := listen(t, "tcp4", "0.0.0.0:0", true)
	_, a6 := listen(t, "tcp6", "[::]:0", true)
	p4, _ := strconv.Atoi(port(a4))
	p6, _ := strconv.Atoi(port(a6))
	// Use a long --settle, because on a busy machine a program may pause between its binds.
	slow := func(argv ...string) []string {
		return append([]string{"--timeout", "60s", "--settle", "3s", "--"}, argv...)
	}
	idle := func(argv ...string) []string {
		return append([]string{"--timeout", "60s", "--idle", "2s", "--"}, argv...)
	}
	for _, c := range []struct {
		name string
		args []string
		want contract.Report
	}{
		{"node", slow(node(t), data(t, "server.js"), port(a6)), epoll(listener("inet6", "::", p6, 511))},
		{"node cluster", slow(node(t), data(t, "cluster.js"), "5803"), epoll(listener("inet6", "::", 5803, 511))},
		{"python http.server", slow(python(t), "-m", "http.server", port(a4)), blockingReport(p4, 5, false)},
		{"children that bind the same address", slow(python(t), data(t, "prefork.py"), port(a4)), blockingReport(p4, 5, false)},
		{"blocking C server", slow(filepath.Join(testdata, "cserver"), port(a4)), blockingReport(p4, 16, true)},
		{"ends without a bind", []string{"--", "/bin/sh", "-c", "exit 3"}, exitReport("3")},
		{"keeps running without a bind", []string{"--timeout", "300ms", "--", "/bin/sleep", "600"},
			contract.Report{NonBlocking: true, TimedOut: true}},
		{"does nothing for --idle", idle("/bin/sleep", "600"), contract.Report{NonBlocking: true, Idle: true}},
		{"is a client that sleeps", idle(python(t), "-c", `
import socket, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    time.sleep(20)`), contract.Report{NonBlocking: true, Idle: true}},
		{"sleeps before it listens", idle(python(t), "-c", laterPython, "time.sleep(5)", port(a4)), blockingReport(p4, 5, false)},
		{"waits for a timer before it listens", idle(node(t), "-e", "setTimeout(() => require('http').createServer().listen(5804), 5000)"),
			epoll(listener("inet6", "::", 5804, 511))},
		{"a child works before the program listens", idle("/bin/sh", "-c", `"$0" -c 'import time
while time.process_time() < 3: pass'; exec "$0" -m http.server "$1"`, python(t), port(a4)), blockingReport(p4, 5, false)},
		{"leaves a process in the background", slow("/bin/sh", "-c", "sleep 600 & exit 0"), exitReport("0", "sleep")},
		{"listens on a second port after 100 ms", slow(node(t), "-e", `
const http = require('http');
http.createServer(() => {}).listen(5801, '127.0.0.1', () =>
	setTimeout(() => http.createServer(() => {}).listen(5802, '127.0.0.1'), 100));`),
			epoll(listener("inet", "127.0.0.1", 5801, 511), listener("inet", "127.0.0.1", 5802, 511))},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := probeOf(t, c.args...)
			for i := range got.Binds {
				got.Binds[i].Options = nil // TestProbeOptions
			}
			want := c.want
			want.Version, want.TookMS = 1, got.TookMS
			if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
				t.Errorf("the report is\n%+v, want\n%+v", got, want)
			}
		})
	}
}

// laterPython executes its first argument as Python code, and then listens on the port in its second argument.
const laterPython = `
import socket, sys, time
exec(sys.argv[1])
s = socket.socket()
s.bind(("0.0.0.0", int(sys.argv[2])))
s.listen(5)
time.sleep(600)`

// TestProbeKillsAll: all processes of the program end with the probe, including a process that has left the process group
// and ignores SIGTERM.
func TestProbeKillsAll(t *testing.T) {
	t.Parallel()
	mark := filepath.Join(t.TempDir(), "pid")
	script := `setsid sh -c 'trap "" TERM; echo $$ > "$0"; sleep 600; sleep 600' "` + mark + `" & while ! [ -s "` +
		mark + `" ]; do sleep 0.01; done; exit 0`
	got := probeOf(t, "--timeout", "10s", "--", "/bin/sh", "-c", script)
	if !got.Exited {
		t.Errorf("the report is %+v, want Exited true", got)
	}
	b, err := os.ReadFile(mark)
	if err != nil {
		t.Fatal(err)
	}
	pid := strings.TrimSpace(string(b))
	if _, err := os.Stat("/proc/" + pid); err == nil {
		t.Errorf("process %s still runs after the probe", pid)
	}
}

// TestProbeErrors: after invalid arguments, "probe" ends with the right exit status and message.
func TestProbeErrors(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"--"}, contract.StatusUsage, "no program"},
		{[]string{"--timeout", "0s", "--", "/bin/true"}, contract.StatusUsage, "positive"},
		{[]string{"--idle", "-1s", "--", "/bin/true"}, contract.StatusUsage, "must not be negative"},
		{[]string{"--output", "/no/such/dir/x", "--", "/bin/true"}, exitFailed, "writing the report"},
	} {
		cmd := exec.Command(shim, append([]string{"probe"}, c.args...)...)
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != c.code || !strings.Contains(string(out), c.text) {
			t.Errorf("probe %q ended with %v, %q, want status %d and %q", c.args, cmd.ProcessState, out, c.code, c.text)
		}
	}
}
