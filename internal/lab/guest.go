package lab

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// Name returns the name of the machine, which is also the name of its directory and its cgroup.
func (m *Machine) Name() string { return m.name }

// Release returns the release that the machine was booted from.
func (m *Machine) Release() Release { return m.release }

// InitPID returns the host PID of the machine's init. A reboot changes this PID.
func (m *Machine) InitPID() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pid
}

// Root returns the path of the machine's root directory on the host. The path also leads to file systems that are mounted in
// the machine (/run, /tmp). A reboot changes the path. Absolute symbolic links below the path lead to files of the host, so
// use ReadFile and WriteFile for files behind links.
func (m *Machine) Root() string { return fmt.Sprintf("/proc/%d/root", m.InitPID()) }

// Systemd returns the version of systemd in the machine: 247, 252, …
func (m *Machine) Systemd(t testing.TB) int {
	t.Helper()
	f := strings.Fields(m.Sh(t, "systemctl --version"))
	if len(f) < 2 {
		t.Fatalf("systemctl --version: %q", f)
	}
	// Unstable prints "262~rc1", and other distributions "257.9".
	digits := strings.IndexFunc(f[1]+".", func(r rune) bool { return r < '0' || r > '9' })
	v, err := strconv.Atoi(f[1][:digits])
	if err != nil {
		t.Fatalf("systemctl --version: %v", err)
	}
	return v
}

// ReadFile returns the content of a file in the machine. The file may be in /proc or /run.
func (m *Machine) ReadFile(t testing.TB, path string) string {
	t.Helper()
	r := m.runBounded("cat", "--", path)
	if r.Code != 0 {
		t.Fatalf("reading %s in %s: %v", path, m.name, r)
	}
	return r.Stdout
}

// WriteFile creates or replaces a file in the machine. The new file has a new inode, so WriteFile can replace a running
// program. Missing directories are created with mode 0755. The file belongs to root.
func (m *Machine) WriteFile(t testing.TB, path, data string, mode os.FileMode) {
	t.Helper()
	m.install(t, strings.NewReader(data), path, mode)
}

// CopyIn copies a file of the host into the machine, with its permissions.
func (m *Machine) CopyIn(t testing.TB, hostPath, path string) {
	t.Helper()
	f, err := os.Open(hostPath)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	m.install(t, f, path, fi.Mode())
}

func (m *Machine) install(t testing.TB, from io.Reader, path string, mode os.FileMode) {
	t.Helper()
	var out bytes.Buffer
	ctx, cancel := patience.WithTimeout(context.Background(), shTimeout)
	defer cancel()
	cmd := m.Command(ctx, "install", "-D", "-m", strconv.FormatUint(uint64(mode.Perm()), 8), "/dev/stdin", path)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = from, &out, &out
	err := m.startIn(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		t.Fatalf("writing %s in %s: %v\n%s", path, m.name, err, out.String())
	}
}

// MainPID returns the PID of a service in the machine. If the service has no main process, the test fails. The result is
// never 0, because kill(2) would send a signal for PID 0 to the process group of the caller.
func (m *Machine) MainPID(t testing.TB, unit string) int {
	t.Helper()
	s := m.Sh(t, "systemctl show -p MainPID --value -- '"+unit+"'")
	pid, err := strconv.Atoi(s)
	if err != nil || pid <= 0 {
		t.Fatalf("%s in %s has no main process: MainPID=%q", unit, m.name, s)
	}
	return pid
}

// HostPID returns the host PID for a PID in the machine.
func (m *Machine) HostPID(t testing.TB, pid int) int {
	t.Helper()
	want, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", m.InitPID()))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processes() {
		// Compare the PID in the innermost namespace first. A child may be in a nested namespace with another PID.
		if p.inner() != pid {
			continue
		}
		if ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", p.pid)); err == nil && ns == want {
			return p.pid
		}
	}
	t.Fatalf("process %d does not exist in %s", pid, m.name)
	return 0
}

// Journal returns the output of journalctl with the given arguments.
func (m *Machine) Journal(t testing.TB, args ...string) string {
	t.Helper()
	r := m.runBounded(append([]string{"journalctl", "--no-pager", "-q"}, args...)...)
	if r.Code != 0 {
		t.Fatalf("journalctl %q in %s: %v", args, m.name, r)
	}
	return r.Stdout
}

// AwaitJournal waits at most five minutes until an old or new line of the journal contains text. args are arguments of
// journalctl that select entries, such as "-u", "web@1".
func (m *Machine) AwaitJournal(t testing.TB, text string, args ...string) {
	t.Helper()
	m.awaitLines(t, 1, 5*time.Minute, text, args)
}

// AwaitJournalFor waits as AwaitJournal does, but at most for the given time.
func (m *Machine) AwaitJournalFor(t testing.TB, bound time.Duration, text string, args ...string) {
	t.Helper()
	m.awaitLines(t, 1, bound, text, args)
}

// AwaitLines waits at most five minutes until n lines of the journal contain text.
func (m *Machine) AwaitLines(t testing.TB, n int, text string, args ...string) {
	t.Helper()
	m.awaitLines(t, n, 5*time.Minute, text, args)
}

// awaitLines follows the journal until n lines contain text.
//
// If journalctl starts before the directory of a journal namespace exists, it never reads that directory. So awaitLines runs
// journalctl repeatedly. Each run reads the old lines again. Each run is longer than the previous run, so that a long
// journal can be read to its end. A few runs may fail: if a journal is written and vacuumed at the same time, journalctl may
// find an incomplete entry ("Bad message", seen on 247).
func (m *Machine) awaitLines(t testing.TB, n int, bound time.Duration, text string, args []string) {
	t.Helper()
	ctx, cancel := patience.WithTimeout(context.Background(), bound)
	defer cancel()
	const step = 10 * time.Second
	ended := 0
	for turn := step; ; turn += step {
		found, err := m.seekJournal(ctx, turn, n, text, args)
		if err != nil {
			ended++
		}
		switch {
		case ended > 5:
			t.Fatalf("cannot follow the journal of %s (%q): %v", m.name, args, err)
		case found >= n:
			return
		case ctx.Err() != nil:
			t.Fatalf("got %d lines with %q in the journal of %s (%q) in %v, want %d", found, text, m.name, args, bound, n)
		}
	}
}

// seekJournal runs journalctl -f for the given time, or until n lines contain text. seekJournal returns the number of lines
// that contain text, and an error if journalctl ends by itself.
func (m *Machine) seekJournal(ctx context.Context, turn time.Duration, n int, text string, args []string) (found int, err error) {
	ctx, cancel := context.WithTimeout(ctx, turn)
	defer cancel()
	var stderr bytes.Buffer
	cmd := m.Command(ctx, append([]string{"journalctl", "-q", "-f", "-n", "all"}, args...)...)
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = m.startIn(cmd)
	}
	if err != nil {
		return 0, err
	}
	s := bufio.NewScanner(out)
	for found < n && s.Scan() {
		if strings.Contains(s.Text(), text) {
			found++
		}
	}
	over := found == n || ctx.Err() != nil
	cancel()
	_ = cmd.Wait() // killed
	if over {
		return found, nil
	}
	return found, errors.Join(s.Err(), fmt.Errorf("journalctl has ended: %v\n%s", cmd.ProcessState, stderr.String()))
}

// Reboot reboots the machine and waits until the boot is complete. The files in /run and /tmp are lost.
func (m *Machine) Reboot(t testing.TB) {
	t.Helper()
	ctx, cancel := patience.WithTimeout(context.Background(), bootTimeout)
	defer cancel()
	next := m.monitor.count() + 1
	// Ignore the result, because the reboot may kill this command.
	m.Run(ctx, "systemctl", "--no-block", "reboot")
	if err := m.awaitBoot(ctx, next); err != nil {
		t.Fatalf("rebooting %s: %v\n%s", m.name, err, m.keeper.output())
	}
}

// findInit returns the PID of the machine's init: it is a child of systemd-nspawn, which is a child of the keeper, and has
// PID 1 in its own PID namespace.
func (m *Machine) findInit() (int, error) {
	all := processes()
	for _, nspawn := range all {
		if nspawn.ppid != m.keeper.cmd.Process.Pid {
			continue
		}
		for _, p := range all {
			if p.ppid == nspawn.pid && p.inner() == 1 {
				return p.pid, nil
			}
		}
	}
	return 0, errors.New("cannot find the machine's init in /proc")
}

// process is one entry of the host's process table.
type process struct {
	pid, ppid int
	ns        []string // NSpid of proc(5): the PIDs in all PID namespaces, from ours to the innermost
}

// inner returns the PID in the innermost PID namespace.
func (p process) inner() int {
	n, _ := strconv.Atoi(p.ns[len(p.ns)-1])
	return n
}

func processes() []process {
	files, _ := filepath.Glob("/proc/[0-9]*/status")
	var all []process
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // the process has ended
		}
		var p process
		for line := range strings.Lines(string(b)) {
			key, value, _ := strings.Cut(line, ":")
			switch key {
			case "Pid":
				p.pid, _ = strconv.Atoi(strings.TrimSpace(value))
			case "PPid":
				p.ppid, _ = strconv.Atoi(strings.TrimSpace(value))
			case "NSpid":
				p.ns = strings.Fields(value)
			}
		}
		if len(p.ns) > 0 {
			all = append(all, p)
		}
	}
	return all
}
