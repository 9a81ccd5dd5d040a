package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
)

// found is the report of a probe, as clusterctl reads it.
type found struct {
	Version    int
	Binds      []foundBind
	Exited     bool
	Status     string
	TimedOut   bool `json:"timed_out"`
	Idle       bool
	Left       []string
	Blocking   bool `json:"-"`
	HoldAccept bool `json:"hold_accept"`
	NonBlock   bool `json:"non_blocking"`
}

type foundBind struct {
	Family, Type, Address string
	Port                  int
	Listening             bool
	Backlog               int
	NonBlocking           bool `json:"nonblocking"`
	Epoll                 bool
	BlockingAccept        bool `json:"blocking_accept"`
}

func probeOf(t *testing.T, args ...string) found {
	t.Helper()
	var f found
	readProbe(t, &f, args...)
	return f
}

// readProbe decodes the report of a probe.
func readProbe(t *testing.T, report any, args ...string) {
	t.Helper()
	cmd := exec.Command(shim, append([]string{"probe"}, args...)...)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET=/nowhere")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := json.Unmarshal(out, report); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
}

func TestProbe(t *testing.T) {
	// The ports are taken: a probe beside a running instance must not mind.
	_, a4 := listen(t, "tcp4", "0.0.0.0:0", true)
	_, a6 := listen(t, "tcp6", "[::]:0", true)
	p4, _ := strconv.Atoi(port(a4))
	p6, _ := strconv.Atoi(port(a6))
	// On a busy machine there are pauses between what belongs together; the probe takes them for the end.
	slow := func(argv ...string) []string {
		return append([]string{"--timeout", "60s", "--settle", "3s", "--"}, argv...)
	}
	idle := func(argv ...string) []string {
		return append([]string{"--timeout", "60s", "--idle", "2s", "--"}, argv...)
	}
	for _, c := range []struct {
		name string
		args []string
		want found
	}{
		{"node", slow(node(t), data(t, "server.js"), port(a6)), found{NonBlock: true, Binds: []foundBind{
			{"inet6", "stream", "::", p6, true, 511, true, true, false}}}},
		{"node cluster", slow(node(t), data(t, "cluster.js"), "5803"), found{NonBlock: true, Binds: []foundBind{
			{"inet6", "stream", "::", 5803, true, 511, true, true, false}}}},
		{"python http.server", slow(python(t), "-m", "http.server", port(a4)), found{HoldAccept: true, Binds: []foundBind{
			{"inet", "stream", "0.0.0.0", p4, true, 5, false, false, false}}}},
		{"children that bind the same", slow(python(t), data(t, "prefork.py"), port(a4)), found{HoldAccept: true, Binds: []foundBind{
			{"inet", "stream", "0.0.0.0", p4, true, 5, false, false, false}}}},
		{"blocking c", slow(filepath.Join(testdata, "cserver"), port(a4)), found{HoldAccept: true, Binds: []foundBind{
			{"inet", "stream", "0.0.0.0", p4, true, 16, false, false, true}}}},
		{"binds nothing and ends", []string{"--", "/bin/sh", "-c", "exit 3"}, found{NonBlock: true, Exited: true, Status: "exited/3", Left: []string{}}},
		{"binds nothing and goes on", []string{"--timeout", "300ms", "--", "/bin/sleep", "600"}, found{NonBlock: true, TimedOut: true}},
		{"does nothing", idle("/bin/sleep", "600"), found{NonBlock: true, Idle: true}},
		{"is a client that sleeps", idle(python(t), "-c", `
import socket, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    time.sleep(20)`), found{NonBlock: true, Idle: true}},
		{"sleeps, and listens", idle(python(t), "-c", laterPython, "time.sleep(5)", port(a4)), found{HoldAccept: true, Binds: []foundBind{
			{"inet", "stream", "0.0.0.0", p4, true, 5, false, false, false}}}},
		{"waits for a timer, and listens", idle(node(t), "-e", "setTimeout(() => require('http').createServer().listen(5804), 5000)"), found{NonBlock: true, Binds: []foundBind{
			{"inet6", "stream", "::", 5804, true, 511, true, true, false}}}},
		{"a child works, and it listens", idle("/bin/sh", "-c", `"$0" -c 'import time
while time.process_time() < 3: pass'; exec "$0" -m http.server "$1"`, python(t), port(a4)), found{HoldAccept: true, Binds: []foundBind{
			{"inet", "stream", "0.0.0.0", p4, true, 5, false, false, false}}}},
		{"goes into the background", slow("/bin/sh", "-c", "sleep 600 & exit 0"), found{NonBlock: true, Exited: true, Status: "exited/0", Left: []string{"sleep"}}},
		{"two ports, one later", slow(node(t), "-e", `
const http = require('http');
http.createServer(() => {}).listen(5801, '127.0.0.1', () => setTimeout(() => http.createServer(() => {}).listen(5802, '127.0.0.1'), 100));`),
			found{NonBlock: true, Binds: []foundBind{
				{"inet", "stream", "127.0.0.1", 5801, true, 511, true, true, false}, {"inet", "stream", "127.0.0.1", 5802, true, 511, true, true, false}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.want.Version = 1
			if c.want.Binds == nil {
				c.want.Binds = []foundBind{}
			}
			if got := probeOf(t, c.args...); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

// laterPython runs its first argument, and listens on the port of the second.
const laterPython = `
import socket, sys, time
exec(sys.argv[1])
s = socket.socket()
s.bind(("0.0.0.0", int(sys.argv[2])))
s.listen(5)
time.sleep(600)`

// Nothing outlives a probe, not even what has left the process group and ignores SIGTERM.
func TestProbeLeavesNothing(t *testing.T) {
	t.Parallel()
	mark := filepath.Join(t.TempDir(), "pid")
	script := `setsid sh -c 'trap "" TERM; echo $$ > "$0"; sleep 600; sleep 600' "` + mark + `" & while ! [ -s "` + mark + `" ]; do sleep 0.01; done; exit 0`
	got := probeOf(t, "--timeout", "10s", "--", "/bin/sh", "-c", script)
	if !got.Exited {
		t.Errorf("%+v", got)
	}
	b, err := os.ReadFile(mark)
	if err != nil {
		t.Fatal(err)
	}
	pid := strings.TrimSpace(string(b))
	if _, err := os.Stat("/proc/" + pid); err == nil {
		t.Errorf("process %s is left", pid)
	}
}

// What only a person would call: errors are one line and a hint.
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
		out, _ := exec.Command(shim, append([]string{"probe"}, c.args...)...).CombinedOutput()
		cmd := exec.Command(shim, append([]string{"probe"}, c.args...)...)
		_ = cmd.Run()
		if cmd.ProcessState.ExitCode() != c.code || !strings.Contains(string(out), c.text) {
			t.Errorf("%q: %v %q", c.args, cmd.ProcessState, out)
		}
	}
}
