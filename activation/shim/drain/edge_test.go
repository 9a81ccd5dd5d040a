package drain_test

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/drain"
)

// The method run drains the worker and returns the Result.
func (c *cluster) run(w *worker, opt drain.Options) (drain.Result, error) {
	c.t.Helper()
	return c.begin(w, opt)()
}

// The method begin starts a drain of the worker. The function end waits until the drain has ended, and returns the
// Result.
func (c *cluster) begin(w *worker, opt drain.Options) (end func() (drain.Result, error)) {
	c.t.Helper()
	opt.MainPID = w.cmd.Process.Pid
	text, err := json.Marshal(opt)
	if err != nil {
		c.t.Fatal(err)
	}
	cmd := c.command(w.cgroup, "/proc/self/exe", "run", string(text))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	return func() (drain.Result, error) {
		c.t.Helper()
		if err := cmd.Wait(); err != nil {
			return drain.Result{}, err
		}
		var r drain.Result
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			c.t.Fatal(err)
		}
		return r, nil
	}
}

// shortLimits are options with which a drain does not wait long for silent connections and streams.
var shortLimits = drain.Options{Timeout: 30 * time.Second, Idle: 300 * time.Millisecond, Busy: time.Second,
	RequestAge: time.Millisecond, StreamAge: time.Millisecond}

func TestNoMainPID(t *testing.T) {
	for _, value := range []string{"", "0", "-1", "x"} {
		var log bytes.Buffer
		getenv := func(string) string { return value }
		if code := drain.Main([]string{"--drain=nonsense"}, getenv, &log); code != 0 || log.Len() > 0 {
			t.Errorf("MAINPID=%q: status %d, log %q, want status 0 and no output", value, code, log.String())
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"--drain=nonsense"}, {"--idle=x"}, {"--unknown"}, {"word"}} {
		var log bytes.Buffer
		if code := drain.Main(args, func(string) string { return "1" }, &log); code != 2 || log.Len() == 0 {
			t.Errorf("arguments %q: status %d, log %q, want status 2 and a line", args, code, log.String())
		}
	}
	if code := drain.Main([]string{"--drain=off"}, func(string) string { return "1" }, os.Stderr); code != 0 {
		t.Errorf("--drain=off: status %d, want 0", code)
	}
}

// TestEveryEpoll: the drain removes all kinds of entries: entries with a descriptor number that the Go runtime of the drain
// uses, entries whose descriptor the program has closed, entries in a nested epoll instance, and an entry with
// EPOLLEXCLUSIVE.
func TestEveryEpoll(t *testing.T) {
	c := newCluster(t, nil, "/proc/self/exe", "serve", "epolls")
	w := c.start()
	// Wait until the worker has added all entries. The worker counts as ready after the first entry. The entry with a high
	// descriptor number takes longer, because the kernel must enlarge the table of descriptors (expand_fdtable in
	// fs/file.c).
	await(t, func() bool { _, err := os.Stat(w.ready); return err == nil })
	r, err := c.run(w, shortLimits)
	if err != nil {
		t.Fatal(err)
	}
	if r.Removed != epollEntries || r.Reason != "" {
		t.Errorf("the drain removed %d entries, reason %q, want %d entries and no reason", r.Removed, r.Reason, epollEntries)
	}
	if n := listenerEntries(t, w.cmd.Process.Pid); n != 0 {
		t.Errorf("%d entries are left, want 0", n)
	}
}

// TestReAdd: if a program adds its listener to epoll again and again, the drain removes the listener each time until the
// program has responded to the last request.
func TestReAdd(t *testing.T) {
	c := newCluster(t, nil, "/proc/self/exe", "serve", "readd")
	w := c.start()
	conn, err := net.Dial("tcp4", c.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	// Wait for accept: without its listener in epoll, the program could not accept the connection.
	await(t, func() bool { return acceptedCount(t, w.cmd.Process.Pid) > 0 })
	r, err := c.run(w, shortLimits)
	if err != nil {
		t.Fatal(err)
	}
	if r.Removed < reAdds+1 || r.Reason != "" {
		t.Errorf("the drain removed %d entries, reason %q, want at least %d entries and no reason", r.Removed, r.Reason, reAdds+1)
	}
}

// TestPrivateListener: the drain removes only the listeners that the service manager also has open.
func TestPrivateListener(t *testing.T) {
	c := newCluster(t, nil, "/proc/self/exe", "serve", "private")
	w := c.start()
	await(t, func() bool { _, err := os.Stat(w.ready); return err == nil })
	addr, err := os.ReadFile(w.ready)
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.run(w, shortLimits)
	if err != nil {
		t.Fatal(err)
	}
	if r.Listeners != 1 || r.Removed == 0 || r.Reason != "" {
		t.Errorf("the drain returned %#v, want one listener, which was removed", r)
	}
	if err := (&client{addr: string(addr), path: "/"}).request(); err != nil {
		t.Errorf("request on the private listener: %v", err)
	}
	conn, err := net.Dial("tcp4", c.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(300 * time.Millisecond))
	conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	if n, err := conn.Read(make([]byte, 1)); n != 0 || !os.IsTimeout(err) {
		t.Errorf("request on the shared listener: read %d bytes, %v, want no response", n, err)
	}
}

// TestTimeout: if a response never comes, the drain waits until its time limit.
func TestTimeout(t *testing.T) {
	c := newCluster(t, nil, "/proc/self/exe", "serve")
	w := c.start()
	conn, err := net.Dial("tcp4", c.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write([]byte("GET /never HTTP/1.1\r\nHost: x\r\n\r\n"))
	await(t, func() bool { return acceptedCount(t, w.cmd.Process.Pid) > 0 })
	c.drain(w, "--drain-timeout=300ms")
	if log := c.log.String(); !strings.Contains(log, "time is up; 1 connections left") {
		t.Errorf("log %q, want the time limit and one connection", log)
	}
}

// TestMainEnds: the drain ends when the main process ends.
func TestMainEnds(t *testing.T) {
	c := newCluster(t, nil, "/proc/self/exe", "serve")
	w := c.start()
	conn, err := net.Dial("tcp4", c.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write([]byte("GET /exit HTTP/1.1\r\nHost: x\r\n\r\n"))
	await(t, func() bool { return acceptedCount(t, w.cmd.Process.Pid) > 0 })
	end := c.begin(w, shortLimits)
	await(t, func() bool { return listenerEntries(t, w.cmd.Process.Pid) == 0 })
	conn.Write([]byte("x"))
	r, err := end()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(r.Reason, "main process") || r.Left != 0 {
		t.Errorf("the drain returned %#v, want the end of the main process as the reason, and no connection left", r)
	}
}

// TestNotPermitted: without the right to read the processes, the drain prints one line, which names the missing right.
func TestNotPermitted(t *testing.T) {
	c := newCluster(t, nil, "/proc/self/exe", "serve")
	w := c.start()
	dir := t.TempDir()
	// The user of the drain must be able to execute the shim in dir.
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	shim := filepath.Join(dir, "shim")
	if out, err := exec.Command("cp", "/proc/"+strconv.Itoa(os.Getpid())+"/exe", shim).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := c.command(w.cgroup, shim, "drain")
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	cmd.Env = []string{"MAINPID=" + strconv.Itoa(w.cmd.Process.Pid)}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "not permitted") || bytes.Count(out, []byte("\n")) != 1 {
		t.Errorf("the drain ended with %v, log %q, want status 0 and one line", err, out)
	}
}

// TestAccept: the drain sends the signal to the notifier, and to no other process with the same executable.
func TestAccept(t *testing.T) {
	c := newCluster(t, nil, "/usr/bin/python3", "testdata/httpserver.py")
	w := c.start()
	notified := filepath.Join(t.TempDir(), "notified")
	notifier := c.command(w.cgroup, "/proc/self/exe", "notify", notified)
	if err := notifier.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { notifier.Process.Kill(); notifier.Wait() }()
	other := c.command(w.cgroup, "/proc/self/exe", "sleep")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { other.Process.Kill(); other.Wait() }()
	await(t, func() bool { _, err := os.Stat(notified + ".ready"); return err == nil })
	opt := shortLimits
	opt.Mode = drain.ModeAccept
	r, err := c.run(w, opt)
	if err != nil {
		t.Fatal(err)
	}
	if r.Held != 1 || r.Reason != "" {
		t.Errorf("the drain returned %#v, want one notifier and no reason", r)
	}
	await(t, func() bool { _, err := os.Stat(notified); return err == nil })
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("another process with this executable has ended: %v", err)
	}
}

// TestUnixSocket: no request fails on a Unix socket while workers restart. Like a proxy, the clients use a new connection
// for each request.
func TestUnixSocket(t *testing.T) {
	c := newUnixCluster(t, "/proc/self/exe", "serve")
	workers := []*worker{c.start(), c.start()}
	l := startLoad(c.addr, "/", 4, false, 0)
	c.roll(workers, 6)
	l.check(t)
	if log := c.log.String(); log != "" {
		t.Errorf("the drain was incomplete:\n%s", log)
	}
}
