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

// AccelEnv is an environment variable with the accelerator of qemu: "kvm" or "tcg". The default is "kvm" if the host
// supports it.
const AccelEnv = "CLUSTERCTL_VM_ACCEL"

// accelerator returns "kvm" if it can be used, and otherwise "tcg", which emulates each instruction.
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

// virtualizes reports whether the processor supports virtualization. Without this support, some sandboxes have a /dev/kvm
// that can be opened, but no kernel boots with it.
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

// The machine has two CPUs for two instances, and memory that also contains the root directory.
const (
	cpus   = "2"
	memory = "1280" // MiB; the root directory may use at most half of it
)

// cpuModel has the instructions of x86-64-v2, which Debian requires. With "host", qemu aborts if KVM refuses to set a
// register (IA32_ARCH_CAPABILITIES), which happens within virtual machines. With "max", programs use AVX, which tcg emulates
// slowly.
const cpuModel = "Nehalem"

// cmdline is the command line of the kernel. The kernel prints messages of level "error" and above on the console. Without
// mitigations=off, the kernel would switch page tables at each system call, and tcg would then discard all translated code.
const cmdline = "console=ttyS0,115200 loglevel=4 panic=-1 audit=0 apparmor=0 mitigations=off systemd.show_status=no " +
	"systemd.unit=vm-checks.service"

// outcome describes a run of the machine: the text on its console, and the time that qemu took.
type outcome struct {
	console   string
	took, cpu time.Duration
}

// The function run boots vmlinuz with initramfs, and waits until the machine is off. It calls the function result for each
// line on the second serial port, with the CPU time of qemu so far. If ctx ends first, it kills qemu and returns an error.
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

// cpuOf returns the CPU time of a child process. On a busy host, the CPU time varies less than the elapsed time.
func cpuOf(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	s, _ := target.ParseStat(b)
	const perSecond = 100 // USER_HZ
	return time.Duration(s.Ticks) * time.Second / perSecond
}

// onOwnThread keeps the thread of this goroutine alive until f returns, because the kernel sends Pdeathsig when the thread
// that started the process ends.
func onOwnThread(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return f()
}

// inMemory returns a file in memory (memfd_create(2)), which is freed when all processes have closed it.
func inMemory(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making a file in memory: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}
