package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// shTimeout limits commands whose caller has no context.
const shTimeout = 20 * time.Minute

// Result is the result of a command in a machine.
type Result struct {
	Stdout, Stderr string
	// Code is the exit status, 128+N if signal N ended the command, and -1 if the command was not started or its context
	// ended.
	Code int
}

// String returns all fields of the result as text.
func (r Result) String() string {
	return fmt.Sprintf("exit status %d\nstdout:\n%s\nstderr:\n%s", r.Code, r.Stdout, r.Stderr)
}

// Command returns a command that runs argv as root in all namespaces of the machine, with a minimal environment and / as
// working directory. When ctx ends, the command and its process group are killed. Callers may set Stdin, Stdout and Stderr,
// and append to Env, before they start the command.
func (m *Machine) Command(ctx context.Context, argv ...string) *exec.Cmd {
	// -r and -w use the root and the working directory of init. --wd=/ would mean the root of the host, because nsenter
	// opens the directory before it enters the namespaces. getcwd(3) would then fail in the machine.
	args := append([]string{"-t", strconv.Itoa(m.InitPID()), "-a", "-r", "-w", "--"}, argv...)
	cmd := exec.CommandContext(ctx, "nsenter", args...)
	cmd.Env = []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root", "USER=root", "LOGNAME=root", "LANG=C.UTF-8", "TERM=dumb", "SYSTEMD_PAGER=cat",
	}
	// The command gets a new session, which is also a new process group. The kernel divides the CPU time among sessions
	// (sched_autogroup, sched(7)). In the session of the tests, all commands together would get only one share.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = time.Second
	return cmd
}

// startIn starts cmd in the cgroup of the machine's init, as container engines do. If the process started outside the
// machine's cgroups, and cgroup v2 is mounted with nsdelegate, systemd in the machine could not move the process into a
// scope or a session (cgroups(7)).
func (m *Machine) startIn(cmd *exec.Cmd) error { return startInCgroup(cmd, m.initCgroup()) }

func (m *Machine) initCgroup() string { return filepath.Join(m.cgroups.V2, "payload/init.scope") }

func startInCgroup(cmd *exec.Cmd, path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening the machine's cgroup: %w", err)
	}
	defer dir.Close()
	cmd.SysProcAttr.UseCgroupFD = true
	cmd.SysProcAttr.CgroupFD = int(dir.Fd())
	return cmd.Start()
}

// Run runs a command in the machine and returns its result.
func (m *Machine) Run(ctx context.Context, argv ...string) Result {
	var stdout, stderr bytes.Buffer
	cmd := m.Command(ctx, argv...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := m.startIn(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // the command exited with 0, but a background process has not closed our pipes
	}
	r := Result{Stdout: stdout.String(), Stderr: stderr.String()}
	var exit *exec.ExitError
	switch {
	case err == nil:
	case ctx.Err() == nil && errors.As(err, &exit):
		r.Code = exit.ExitCode()
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			r.Code = 128 + int(ws.Signal())
		}
	default:
		r.Code = -1
		r.Stderr += fmt.Sprintf("lab: %s: %v", strings.Join(argv, " "), errors.Join(ctx.Err(), err))
	}
	return r
}

// runBounded runs a command for at most shTimeout. The method does not use the context of the test, which has ended
// when cleanups run.
func (m *Machine) runBounded(argv ...string) Result {
	ctx, cancel := patience.WithTimeout(context.Background(), shTimeout)
	defer cancel()
	return m.Run(ctx, argv...)
}

// Try runs a shell script (sh -c) in the machine, for at most twenty minutes.
func (m *Machine) Try(script string) Result {
	return m.runBounded("sh", "-c", script)
}

// Sh runs a shell script (sh -ec) in the machine and returns its stdout, without the last newline. If the exit status is not
// 0, the test fails and prints all output.
func (m *Machine) Sh(t testing.TB, script string) string {
	t.Helper()
	r := m.runBounded("sh", "-ec", script)
	if r.Code != 0 {
		t.Fatalf("in %s: %s\n%v", m.name, script, r)
	}
	return strings.TrimSuffix(r.Stdout, "\n")
}

// Process is a command that runs in a machine while the test continues.
type Process struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	done           chan struct{}
}

// Start starts a command in a new cgroup. At the end of the test, all processes in this cgroup are killed: the command and
// its descendants, except processes that systemd has moved to another cgroup.
func (m *Machine) Start(t testing.TB, argv ...string) *Process {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &Process{cmd: m.Command(ctx, argv...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	group, err := os.MkdirTemp(m.initCgroup(), "lab-")
	if err == nil {
		err = startInCgroup(p.cmd, group)
	}
	if err != nil {
		cancel()
		t.Fatalf("starting %s in %s: %v", argv[0], m.name, err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		cancel()
		<-p.done
		// After a reboot, the cgroup does not exist.
		if err := destroy(group); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("ending %s in %s: %v", argv[0], m.name, err)
		}
	})
	return p
}

// Stop kills the process if it still runs, and returns its result.
func (p *Process) Stop() Result {
	if !p.Ended() {
		_ = p.cmd.Cancel()
	}
	return p.Wait()
}

// Ended reports whether the process has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Signal sends a signal to the command, and not to its children or to its parent nsenter. If nsenter has no child, it has
// not forked yet or is about to end. So Signal searches repeatedly, until it finds a child or the channel p.done is closed
// because the command has ended.
func (p *Process) Signal(s syscall.Signal) error {
	for {
		for _, q := range processes() {
			if q.ppid != p.cmd.Process.Pid {
				continue
			}
			if err := unix.Kill(q.pid, s); !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
		select {
		case <-p.done:
			return errors.New("the command has ended")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Wait waits until the process ends, and returns its result.
func (p *Process) Wait() Result {
	<-p.done
	r := Result{Stdout: p.stdout.String(), Stderr: p.stderr.String(), Code: p.cmd.ProcessState.ExitCode()}
	if ws, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		r.Code = 128 + int(ws.Signal())
	}
	return r
}
