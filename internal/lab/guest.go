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

// Name is the machine's host name, its directory and its cgroup.
func (m *Machine) Name() string { return m.name }

// Release is the image that the machine was booted from.
func (m *Machine) Release() Release { return m.release }

// InitPID is the PID of the machine's init as the host sees it. It changes at
// a reboot.
func (m *Machine) InitPID() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pid
}

// Root is the machine's root directory as the host sees it, with all that is
// mounted in it (/run, /tmp). It changes at a reboot. Absolute symbolic links in it lead into the host;
// ReadFile and WriteFile follow them in the machine.
func (m *Machine) Root() string { return fmt.Sprintf("/proc/%d/root", m.InitPID()) }

// Systemd is the version of systemd in the machine: 247, 252, …
func (m *Machine) Systemd(t testing.TB) int {
	t.Helper()
	f := strings.Fields(m.Sh(t, "systemctl --version"))
	if len(f) < 2 {
		t.Fatalf("systemctl --version: %q", f)
	}
	// Unstable says "262~rc1", and other distributions "257.9".
	digits := strings.IndexFunc(f[1]+".", func(r rune) bool { return r < '0' || r > '9' })
	v, err := strconv.Atoi(f[1][:digits])
	if err != nil {
		t.Fatalf("systemctl --version: %v", err)
	}
	return v
}

// ReadFile returns the content of a file in the machine, /proc and /run
// included.
func (m *Machine) ReadFile(t testing.TB, path string) string {
	t.Helper()
	r := m.bounded("cat", "--", path)
	if r.Code != 0 {
		t.Fatalf("reading %s in %s: %v", path, m.name, r)
	}
	return r.Stdout
}

// WriteFile puts a file into the machine, replacing one that is there by a new
// inode, so a running program may be replaced. Missing directories are made
// with mode 0755; the file belongs to root.
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

// MainPID is the PID, in the machine, of a running service. The test fails
// when the service has none, so the result is never 0, which kill(2) takes for the caller's own group.
func (m *Machine) MainPID(t testing.TB, unit string) int {
	t.Helper()
	s := m.Sh(t, "systemctl show -p MainPID --value -- '"+unit+"'")
	pid, err := strconv.Atoi(s)
	if err != nil || pid <= 0 {
		t.Fatalf("%s in %s has no main process: MainPID=%q", unit, m.name, s)
	}
	return pid
}

// HostPID translates a PID of the machine into the host's.
func (m *Machine) HostPID(t testing.TB, pid int) int {
	t.Helper()
	want, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", m.InitPID()))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processes() {
		// A child may live in a namespace further below and have one PID more there.
		if p.inner() != pid {
			continue
		}
		if ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", p.pid)); err == nil && ns == want {
			return p.pid
		}
	}
	t.Fatalf("no process %d in %s", pid, m.name)
	return 0
}

// Journal returns the output of journalctl with the given arguments.
func (m *Machine) Journal(t testing.TB, args ...string) string {
	t.Helper()
	r := m.bounded(append([]string{"journalctl", "--no-pager", "-q"}, args...)...)
	if r.Code != 0 {
		t.Fatalf("journalctl %q in %s: %v", args, m.name, r)
	}
	return r.Stdout
}

// AwaitJournal waits, for at most five minutes, until a line of the journal, old or
// new, contains text. args select what is read: "-u", "web@1", "-b", …
func (m *Machine) AwaitJournal(t testing.TB, text string, args ...string) {
	t.Helper()
	m.awaitLines(t, 1, 5*time.Minute, text, args)
}

// AwaitJournalFor is AwaitJournal with another bound.
func (m *Machine) AwaitJournalFor(t testing.TB, bound time.Duration, text string, args ...string) {
	t.Helper()
	m.awaitLines(t, 1, bound, text, args)
}

// AwaitLines is AwaitJournal for a number of lines.
func (m *Machine) AwaitLines(t testing.TB, n int, text string, args ...string) {
	t.Helper()
	m.awaitLines(t, n, 5*time.Minute, text, args)
}

// awaitLines follows the journal until n lines contain text.
//
// A journalctl that began before a namespace of the journal had its directory never
// looks into it, so it is started anew until the time is over, and reads the old lines
// again. Each runs for longer than the one before it, so that in the end one has the
// time for a long journal. A few may end by themselves: of a journal that is written and
// vacuumed at the same time, journalctl may see half ("Bad message", seen on 247).
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
			t.Fatalf("following the journal of %s (%q): %v", m.name, args, err)
		case found >= n:
			return
		case ctx.Err() != nil:
			t.Fatalf("%d times %q in the journal of %s (%q) in %v, want %d", found, text, m.name, args, bound, n)
		}
	}
}

// seekJournal reads the journal for a while, and counts the lines that contain text, up
// to n. It is an error when journalctl ends by itself.
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

// Reboot reboots the machine's systemd and waits until it is up again. The
// files on disk stay; /run and /tmp do not.
func (m *Machine) Reboot(t testing.TB) {
	t.Helper()
	ctx, cancel := patience.WithTimeout(context.Background(), bootTimeout)
	defer cancel()
	next := m.boots.count() + 1
	// The command may be killed by what it asks for, so its own end says nothing.
	m.Run(ctx, "systemctl", "--no-block", "reboot")
	if err := m.awaitBoot(ctx, next); err != nil {
		t.Fatalf("rebooting %s: %v\n%s", m.name, err, m.keeper.output())
	}
}

// findInit finds the machine's init: the grandchild of the keeper, by way of
// systemd-nspawn, that is 1 in its own PID namespace.
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

// process is one line of the host's process table.
type process struct {
	pid, ppid int
	ns        []string // NSpid of proc(5): its PIDs, from our namespace inwards
}

// inner is the PID in the innermost namespace.
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
			continue // ended meanwhile
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
