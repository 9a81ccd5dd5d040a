//go:build lab

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// syscallInfo has the layout of struct ptrace_syscall_info at the entry of a system call (ptrace(2),
// PTRACE_GET_SYSCALL_INFO).
type syscallInfo struct {
	op     uint8
	_      [3]uint8
	arch   uint32
	ip, sp uint64
	nr     uint64
	args   [6]uint64
}

// tracerEnv is the name of an environment variable. If this variable is set, the test binary runs only the tracer. The
// tracer is a separate process, because it waits for all its child processes, and the test process has other child
// processes.
const tracerEnv = "CLUSTERCTL_E2E_TRACER"

// killedAt runs clusterctl in the machine, kills it with SIGKILL before step n, counted from 1, and returns the name of
// this step. A step is a system call that sends a message to systemd, or that creates, renames or removes a file. If
// more than two steps with the same name follow each other, only the first two count, because tests of package
// units/install already kill the command before every step. Every message counts. If the command has fewer than n steps,
// the result step is "".
func killedAt(t testing.TB, m *kit.Machine, n int, args ...string) (step string, r lab.Result) {
	t.Helper()
	ctx, cancel := patience.WithTimeout(context.Background(), kit.CommandTimeout)
	defer cancel()
	inside := m.Command(ctx, append([]string{kit.Ctl}, args...)...)
	cmd := exec.CommandContext(ctx, "/proc/self/exe", inside.Args...)
	cmd.Env = append(inside.Env, tracerEnv+"="+strconv.Itoa(n))
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, scanErr := fmt.Sscanf(stdout.String(), "%d %s", &r.Code, &step); err != nil || scanErr != nil {
		t.Fatalf("tracing clusterctl %q: %v, %q\n%s", args, err, stdout.String(), stderr.String())
	}
	r.Stderr = stderr.String()
	return strings.Trim(step, "-"), r
}

// runTracer is the main function of the tracer. runTracer runs the command argv, kills the command before step n, and
// prints the exit status and the step with a "-" at the end.
func runTracer(argv []string, n string) error {
	at, err := strconv.Atoi(n)
	if err != nil {
		return err
	}
	// The thread that has started the process must make all ptrace(2) calls.
	runtime.LockOSThread()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, tracerEnv+"=") })
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Setpgid: true}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	step, code, err := trace(cmd.Process.Pid, at)
	if err == nil {
		fmt.Println(code, step+"-")
	}
	return err
}

// The function trace traces the process pid and its child processes until all these processes end, and kills the
// processes before step n. The result step is the name of step n, or "" if there are fewer steps. The result code is the
// exit status of the process pid.
func trace(pid, n int) (step string, code int, err error) {
	const options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK |
		unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_EXITKILL
	traced := map[int]bool{}
	last, repeats := "", 0
	for {
		var ws unix.WaitStatus
		p, err := unix.Wait4(-1, &ws, unix.WALL, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ECHILD):
			return step, code, nil
		case err != nil:
			return step, code, err
		}
		if !ws.Stopped() {
			if p == pid {
				code = ws.ExitStatus()
			}
			continue
		}
		signal := ws.StopSignal()
		switch {
		case signal == unix.SIGTRAP|0x80:
			signal = 0
			next := stepOf(p)
			if next == "" || step != "" {
				break
			}
			if repeats++; next != last {
				last, repeats = next, 1
			}
			if repeats > 2 && next != "message" {
				break
			}
			if n--; n == 0 {
				step = next
				err = unix.Kill(-pid, unix.SIGKILL)
			}
		case !traced[p]:
			// A process or thread stops once when its tracing begins. The tracer must not pass the signal of this stop to
			// the process.
			if signal, err = 0, nil; p == pid {
				err = unix.PtraceSetOptions(p, options)
			}
			traced[p] = true
		case ws.TrapCause() > 0:
			signal = 0
		}
		if err == nil {
			err = unix.PtraceSyscall(p, int(signal))
		}
		// ESRCH means that the process was killed after Wait4 returned.
		if err != nil && !errors.Is(err, unix.ESRCH) {
			_ = unix.Kill(-pid, unix.SIGKILL)
			return step, code, err
		}
	}
}

// stepOf returns the name of the step that the system call of a stopped process begins, or "" if the call is not a step.
func stepOf(pid int) string {
	const entry = 1
	var info syscallInfo
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(pid), unsafe.Sizeof(info),
		uintptr(unsafe.Pointer(&info)), 0, 0)
	if errno != 0 || info.op != entry {
		return ""
	}
	switch info.nr {
	case unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2:
		return "rename"
	case unix.SYS_UNLINKAT:
		return "unlink"
	case unix.SYS_MKDIRAT:
		return "mkdir"
	case unix.SYS_LINKAT:
		return "link"
	case unix.SYS_WRITE, unix.SYS_SENDTO, unix.SYS_SENDMSG:
		if file, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, info.args[0])); err == nil && strings.HasPrefix(file, "socket:") {
			return "message"
		}
	}
	return ""
}
