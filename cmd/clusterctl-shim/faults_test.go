package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// TestExitStatus: the process that runs the shim ends with the exit status or the signal of the program, and prints the
// output of the program. The program is a shell.
func TestExitStatus(t *testing.T) {
	l, _ := listen(t, "tcp4", "127.0.0.1:0", true)
	for _, c := range []struct {
		script string
		code   int
		signal syscall.Signal
	}{
		{"exit 0", 0, 0},
		{"exit 7", 7, 0},
		{"kill -SEGV $$", 0, syscall.SIGSEGV},
		{"kill -TERM $$", 0, syscall.SIGTERM},
	} {
		w := startWorker(t, []*os.File{l}, "--adopt", "--", "/bin/sh", "-c", "echo out; echo err >&2; "+c.script)
		_ = w.waitGone(t)
		s := w.ProcessState.Sys().(syscall.WaitStatus)
		if c.signal == 0 && (!s.Exited() || s.ExitStatus() != c.code) || c.signal != 0 && (!s.Signaled() || s.Signal() != c.signal) {
			t.Errorf("%s: the program ended with %v, want status %d or signal %v", c.script, w.ProcessState, c.code, c.signal)
		}
		if got := w.output.String(); got != "out\nerr\n" {
			t.Errorf("%s: the program printed %q, want the lines out and err", c.script, got)
		}
	}
}

// TestProcessState: the program has the variables from the flags, no sockets of the unit and no child process. Its
// descriptors, limits and signals are the same as without the shim. It ignores SIGPIPE, as under systemd.
func TestProcessState(t *testing.T) {
	l, _ := listen(t, "tcp4", "127.0.0.1:0", true)
	script := `echo "${LISTEN_FDS-none} ${LISTEN_PID-none} $INSTANCE $NODE_APP_INSTANCE $PORT $NODE_OPTIONS"
echo $(ls /proc/self/fd); grep SigIgn /proc/self/status; grep SigBlk /proc/self/status
grep ^Seccomp: /proc/$$/status; ulimit -Sn; wait; echo waited`
	w := startCommand(t, []*os.File{l}, []string{"PORT=3000", "NODE_OPTIONS=--trace-warnings"},
		"/bin/sh", "-c", `ulimit -Sn 512; export LISTEN_PID=$$; exec "$@"`, "sh",
		shim, "run", "--adopt", "--instance", "3", "--increment", "PORT", "--node-preload", "/a b.cjs", "--", "/bin/sh", "-c", script)
	_ = w.waitGone(t)
	lines := strings.Split(w.output.String(), "\n")
	bare := startCommand(t, nil, nil, "/bin/sh", "-c", `echo $(ls /proc/self/fd); sed -n 's/^SigIgn:\t*//p' /proc/self/status`)
	_ = bare.waitGone(t)
	fds, ignored, _ := strings.Cut(strings.TrimSpace(bare.output.String()), "\n")
	// The program inherits the ignored signals of the test, such as signal 32 of the C library, and also ignores SIGPIPE.
	mask, err := strconv.ParseUint(ignored, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	mask |= 1 << (syscall.SIGPIPE - 1)
	want := []string{`none none 3 2 3002 --trace-warnings --require "/a b.cjs"`, fds, fmt.Sprintf("SigIgn:\t%016x", mask),
		"SigBlk:\t0000000000000000"}
	for i, x := range want {
		if i >= len(lines) || lines[i] != x {
			t.Errorf("line %d is not %q in\n%s", i, x, w.output)
		}
	}
	if rest := strings.Join(lines[4:], "\n"); !strings.Contains(rest, "Seccomp:\t2\n512\nwaited") {
		t.Errorf("the last lines are %q, want a seccomp filter, the limit 512 and no child", rest)
	}
}

// TestManyBinds: the memory of the notifier, the process that gives the program its sockets, does not grow if the program
// binds 10,000 other addresses before it binds the address of the listener. The limit of 512 kB is 52 bytes for each bind.
func TestManyBinds(t *testing.T) {
	other, otherAddress := listen(t, "tcp4", "0.0.0.0:0", true)
	idle := startWorker(t, []*os.File{other}, "--adopt", "--", filepath.Join(testdata, "binds"), "0", port(otherAddress))
	idle.waitReady(t)
	l, address := listen(t, "tcp4", "0.0.0.0:0", true)
	w := startWorker(t, []*os.File{l}, "--adopt", "--", filepath.Join(testdata, "binds"), "10000", port(address))
	w.waitReady(t)
	n := w.notifier(t)
	fds, err := os.ReadDir("/proc/" + strconv.Itoa(n) + "/fd")
	if err != nil || len(fds) > 8 {
		t.Errorf("the notifier has %d descriptors, %v, want at most 8", len(fds), err)
	}
	if kb, small := pss(t, n), pss(t, idle.notifier(t)); kb > small+512 {
		t.Errorf("the notifier has %d kB, want at most 512 kB more than a notifier without binds, which has %d kB", kb, small)
	}
	idle.stop(t)
	waitAsleep(t, w.Process.Pid) // the program sleeps after it has printed its result
	w.stop(t)
	if got := w.output.String(); got != "done\n" {
		t.Errorf("the program printed %q, want done", got)
	}
}

// pss returns the memory of a process (Pss in proc_pid_smaps(5)) in kB.
func pss(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/smaps_rollup")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "\nPss:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestIdleNotifier: an idle notifier has one thread, which sleeps in ppoll without a timeout, also after signals.
func TestIdleNotifier(t *testing.T) {
	l, address := listen(t, "tcp4", "0.0.0.0:0", true)
	w := startWorker(t, []*os.File{l}, "--adopt", "--", filepath.Join(testdata, "binds"), "0", port(address))
	w.waitReady(t)
	n := w.notifier(t)
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE} {
		if err := syscall.Kill(n, s); err != nil {
			t.Fatal(err)
		}
	}
	tasks, err := os.ReadDir("/proc/" + strconv.Itoa(n) + "/task")
	if err != nil || len(tasks) != 1 {
		t.Errorf("the notifier has %d threads, %v, want 1", len(tasks), err)
	}
	waitAsleep(t, n)
	w.stop(t)
}

// waitAsleep waits until a process with one thread sleeps in ppoll without a timeout.
func waitAsleep(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(patience.For(bound)); time.Now().Before(end); time.Sleep(time.Millisecond) {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/syscall")
		f := strings.Fields(string(b))
		if err == nil && len(f) > 3 && f[0] == strconv.Itoa(syscall.SYS_PPOLL) && f[3] == "0x0" {
			return
		}
	}
	t.Errorf("process %d does not sleep in ppoll without a timeout", pid)
}

// TestKills: after a notifier, a program or both are killed, the other instance still serves, and the notifier of a killed
// program ends.
func TestKills(t *testing.T) {
	l, address := listen(t, "tcp6", "[::]:0", true)
	client := "[::1]:" + port(address)
	args := []string{"--adopt", "--", node(t), data(t, "server.js"), port(address)}
	sibling := startWorker(t, []*os.File{l}, args...)
	sibling.waitReady(t)

	w := startWorker(t, []*os.File{l}, args...)
	w.waitReady(t)
	n := w.notifier(t)
	if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for range 20 { // both the sibling and the program without a notifier still serve
		fetch(t, "tcp6", client)
	}
	w.stop(t)

	w = startWorker(t, []*os.File{l}, args...)
	w.waitReady(t)
	n = w.notifier(t)
	pidfd, err := unix.PidfdOpen(n, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	if err := w.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// waitGone waits for the end of the output, which comes shortly before the end of the notifier.
	_ = w.waitGone(t)
	if !endsSoon(pidfd) {
		t.Errorf("notifier %d still runs after the program was killed", n)
	}

	w = startWorker(t, []*os.File{l}, args...)
	w.waitReady(t)
	n = w.notifier(t)
	_ = syscall.Kill(n, syscall.SIGKILL)
	_ = w.Process.Kill()
	_ = w.waitGone(t)
	fetch(t, "tcp6", client)
	sibling.stop(t)
}

// endsSoon reports whether a process ends in time. A zombie counts as ended.
func endsSoon(pidfd int) bool {
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for end := time.Now().Add(patience.For(bound)); ; {
		n, err := unix.Poll(fds, int(max(time.Until(end), 0).Milliseconds()))
		if err != unix.EINTR {
			return n == 1
		}
	}
}

// TestStoppedProgram: SIGKILL ends a program that SIGSTOP has stopped, and then its notifier ends, too.
func TestStoppedProgram(t *testing.T) {
	l, address := listen(t, "tcp6", "[::]:0", true)
	w := startWorker(t, []*os.File{l}, "--adopt", "--", node(t), data(t, "server.js"), port(address))
	w.waitReady(t)
	if err := w.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := w.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := w.Process.Kill(); err != nil { // as systemd does after TimeoutStopSec=
		t.Fatal(err)
	}
	_ = w.waitGone(t)
}

// TestSandboxed: the shim works for a user without capabilities, and with no_new_privs.
func TestSandboxed(t *testing.T) {
	l, address := listen(t, "tcp4", "0.0.0.0:0", false)
	w := startCommand(t, []*os.File{l}, nil, "/usr/bin/setpriv", "--no-new-privs", "--reuid", "65534", "--regid", "65534",
		"--clear-groups", "--bounding-set", "-all", "--inh-caps", "-all",
		shim, "run", "--adopt", "--", filepath.Join(testdata, "cserver"), port(address))
	w.waitReady(t)
	if body := fetch(t, "tcp4", "127.0.0.1:"+port(address)); !strings.Contains(body, "peer 127.0.0.1") {
		t.Errorf("got the response %q, want the address of the peer", body)
	}
	w.stop(t)
}

// TestSeveralSockets: the notifier sends READY=1 when the program listens on all sockets of the unit.
func TestSeveralSockets(t *testing.T) {
	a, first := listen(t, "tcp4", "127.0.0.1:0", true)
	b, second := listen(t, "tcp4", "127.0.0.1:0", true)
	const script = `
const http = require('http'), [a, b] = process.argv.slice(1);
http.createServer((q, r) => r.end('first')).listen(+a, '127.0.0.1', () =>
  process.stdin.once('data', () => http.createServer((q, r) => r.end('second')).listen(+b, '127.0.0.1')));`
	fifo := filepath.Join(t.TempDir(), "go")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	w := startCommand(t, []*os.File{a, b}, []string{"LISTEN_FDNAMES=x:y"},
		"/bin/sh", "-c", `exec "$@" < "$0"`, fifo, shim, "run", "--adopt", "--map", "y=tcp4:5990", "--", node(t),
		"-e", script, port(first), "5990")
	fetch(t, "tcp4", first)
	if err := w.ready.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if n, err := w.ready.Read(make([]byte, 99)); err == nil {
		t.Errorf("the shim sent %d bytes to NOTIFY_SOCKET, want none before the program listens on the second socket", n)
	}
	if _, err := in.WriteString("go\n"); err != nil {
		t.Fatal(err)
	}
	w.waitReady(t)
	if got := fetch(t, "tcp4", second); got != "second" {
		t.Errorf("got the response %q, want second", got)
	}
	w.stop(t)
}

// TestAmbientPtrace: the shim does not start a program if the unit has CAP_SYS_PTRACE as an ambient capability.
func TestAmbientPtrace(t *testing.T) {
	w := startCommand(t, nil, nil, "/usr/bin/setpriv", "--no-new-privs", "--reuid", "65534", "--regid", "65534", "--clear-groups",
		"--bounding-set", "-all,+sys_ptrace", "--inh-caps", "-all,+sys_ptrace", "--ambient-caps", "-all,+sys_ptrace",
		shim, "run", "--", "/bin/true")
	_ = w.waitGone(t)
	if out := w.output.String(); w.ProcessState.ExitCode() != contract.StatusUsage || !strings.Contains(out, "CAP_SYS_PTRACE") ||
		!strings.Contains(out, "--own-ptrace") {
		t.Errorf("the shim ended with %v, %q, want status %d and a hint", w.ProcessState, out, contract.StatusUsage)
	}
}

// TestOwnPtrace: with --own-ptrace, only the notifier has the ambient capability CAP_SYS_PTRACE of the unit.
func TestOwnPtrace(t *testing.T) {
	l, address := listen(t, "tcp4", "0.0.0.0:0", true)
	w := startCommand(t, []*os.File{l}, nil, "/usr/bin/setpriv", "--no-new-privs", "--reuid", "65534", "--regid", "65534", "--clear-groups",
		"--bounding-set", "-all,+sys_ptrace", "--inh-caps", "-all,+sys_ptrace", "--ambient-caps", "-all,+sys_ptrace",
		shim, "run", "--adopt", "--own-ptrace", "--", filepath.Join(testdata, "binds"), "0", port(address))
	w.waitReady(t)
	for pid, want := range map[int]string{w.Process.Pid: "0000000000000000", w.notifier(t): "0000000000080000"} {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
		if err != nil {
			t.Fatal(err)
		}
		for _, set := range []string{"CapEff", "CapPrm", "CapInh", "CapAmb"} {
			if !strings.Contains(string(b), set+":\t"+want+"\n") {
				t.Errorf("process %d: the status does not contain %s %s", pid, set, want)
			}
		}
	}
	w.stop(t)
}
