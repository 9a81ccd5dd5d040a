package vm

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/target"
)

const qemu = "qemu-system-x86_64"

// AccelEnv is "kvm" or "tcg", and what there is if it is not set.
const AccelEnv = "CLUSTERCTL_VM_ACCEL"

// accelerator is kvm where it may be used, else tcg, which emulates each instruction.
func accelerator() string {
	if a := os.Getenv(AccelEnv); a != "" {
		return a
	}
	if !virtualizes() {
		return "tcg"
	}
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return "tcg"
	}
	f.Close()
	return "kvm"
}

// virtualizes looks at what the processor can do. A sandbox may have a /dev/kvm that answers, and in which no kernel
// boots, without it.
func virtualizes() bool {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		if name, flags, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "flags" {
			f := strings.Fields(flags)
			return slices.Contains(f, "vmx") || slices.Contains(f, "svm")
		}
	}
	return false
}

// The machine's size: two CPUs for two instances, and a root directory in memory.
const (
	cpus   = "2"
	memory = "1280" // MiB; half of it is the most that the root directory may take
)

// cpuModel is x86-64-v2, which is enough for Debian. "host" sets registers that a KVM within a virtual machine may refuse
// (IA32_ARCH_CAPABILITIES, and qemu aborts); "max" has tcg emulate AVX.
const cpuModel = "Nehalem"

// cmdline: init is /init of the archive. Messages up to "error" go to the console, the OOM killer's among them. Without
// mitigations=off the kernel changes its page tables at each system call, and tcg forgets all that it has translated.
const cmdline = "console=ttyS0,115200 loglevel=4 panic=-1 audit=0 apparmor=0 mitigations=off systemd.show_status=no " +
	"systemd.unit=vm-checks.service"

// outcome is what can be said of a machine that is off.
type outcome struct {
	console   string
	took, cpu time.Duration // of qemu
}

// run boots vmlinuz with initramfs and hands each line that the guest writes to its second serial port to result, with
// what qemu has used of the CPU so far, until the machine is off. The end of ctx ends the machine, which is an error.
func run(
	ctx context.Context, vmlinuz string, initramfs *os.File, accel string, result func(line string, cpu time.Duration),
) (o outcome, err error) {
	log, err := inMemory("console")
	if err != nil {
		return o, err
	}
	defer log.Close()
	if accel == "tcg" {
		accel += ",thread=multi"
	}
	cmd := exec.CommandContext(ctx, qemu, "-M", "pc", "-accel", accel, "-cpu", cpuModel, "-smp", cpus, "-m", memory,
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-kernel", vmlinuz, "-initrd", "/proc/self/fd/3", "-append", cmdline,
		"-serial", "file:/proc/self/fd/4", "-serial", "stdio")
	cmd.ExtraFiles = []*os.File{initramfs, log}
	var msg strings.Builder
	cmd.Stderr = &msg
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return o, err
	}
	start := time.Now()
	err = onOwnThread(func() error {
		if err := cmd.Start(); err != nil {
			return err
		}
		s := bufio.NewScanner(out)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			result(strings.TrimRight(s.Text(), "\r"), cpuOf(cmd.Process.Pid))
		}
		return errors.Join(s.Err(), cmd.Wait())
	})
	o.took = time.Since(start)
	if p := cmd.ProcessState; p != nil {
		o.cpu = p.UserTime() + p.SystemTime()
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	shown, readErr := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", log.Fd()))
	o.console = string(shown)
	if err = errors.Join(err, readErr); err != nil {
		err = fmt.Errorf("%s: %w\n%s", qemu, err, msg.String())
	}
	return o, err
}

// cpuOf is the processor time of a process of ours, of which the time on the clock says little on a machine that is
// shared.
func cpuOf(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	s, _ := target.ParseStat(b)
	const perSecond = 100 // USER_HZ
	return time.Duration(s.Ticks) * time.Second / perSecond
}

// onOwnThread keeps the thread that starts a process with Pdeathsig, which is sent when that thread ends.
func onOwnThread(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return f()
}

// inMemory makes a file that has no name and goes when it is closed, in every process that has it.
func inMemory(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making a file in memory: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}
