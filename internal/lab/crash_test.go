package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/internal/lab/image"
	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// childEnv is a variable that makes the test binary run childMain.
const childEnv = "CLUSTERCTL_LAB_CHILD"

// childMain starts a machine, prints its directory and PIDs for the parent, and waits until the parent kills it.
func childMain() {
	ctx := context.Background()
	img, err := image.Ensure(ctx, Bookworm, os.Stderr)
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := start(img, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	initPID := 0
	if os.Getenv(childEnv) == "booted" {
		if err := m.awaitBoot(ctx, 1); err != nil {
			fmt.Println(err)
			return
		}
		initPID = m.InitPID()
		// Start a service and a command, as a test would do.
		m.Try("systemd-run --unit=victim sleep 1000")
		_ = m.startIn(m.Command(ctx, "sleep", "1000"))
	}
	fmt.Printf("machine %s %d %d\n", m.dir, m.keeper.cmd.Process.Pid, initPID)
	select {}
}

// victim is a machine and the test process that started it. The tests kill this process.
type victim struct {
	test         *exec.Cmd
	dir          string
	keeper, init int
	cgroups      cgroups
}

func startVictim(t *testing.T, mode string) victim {
	t.Helper()
	v := victim{test: exec.Command("/proc/self/exe")}
	v.test.Env = append(os.Environ(), childEnv+"="+mode)
	v.test.Stderr = os.Stderr
	out, err := v.test.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := v.test.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.test.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the child printed %q: %v", line, err)
	}
	if _, err := fmt.Sscanf(line, "machine %s %d %d", &v.dir, &v.keeper, &v.init); err != nil {
		t.Fatalf("the child printed %q: %v", line, err)
	}
	if v.cgroups, err = findCgroups(filepath.Base(v.dir)); err != nil {
		t.Fatal(err)
	}
	return v
}

// pidfd returns a pidfd of a process. With a pidfd, awaitEnd can wait for a process that is not our child.
func pidfd(t *testing.T, pid int) int {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatalf("opening process %d: %v", pid, err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// awaitEnd waits until the process of a pidfd has ended.
func awaitEnd(t *testing.T, what string, fd int) {
	t.Helper()
	deadline := time.Now().Add(patience.For(5 * time.Minute))
	for {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(time.Until(deadline).Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			t.Fatalf("%s has not ended: %v", what, err)
		}
		return
	}
}

// checkRemoved checks that the cgroups, the files and the mounts of the machine do not exist.
func (v victim) checkRemoved(t *testing.T) {
	t.Helper()
	for _, path := range append(v.cgroups.dirs(), v.dir, v.dir+".lock") {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s still exists: %v", path, err)
		}
	}
	v.checkMounts(t)
}

func (v victim) checkMounts(t *testing.T) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), filepath.Base(v.dir)) {
		t.Errorf("mounts of %s still exist", v.dir)
	}
}

// TestKilledTest kills a test process with SIGKILL during and after the boot of its machine. The keeper must end the machine
// and remove its files.
func TestKilledTest(t *testing.T) {
	for _, mode := range []string{"booting", "booted"} {
		t.Run(mode, func(t *testing.T) {
			v := startVictim(t, mode)
			keeper := pidfd(t, v.keeper)
			var machine int
			if v.init > 0 {
				machine = pidfd(t, v.init)
			}
			if err := v.test.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = v.test.Wait()
			awaitEnd(t, "the keeper", keeper)
			if v.init > 0 {
				awaitEnd(t, "the machine", machine)
			}
			v.checkRemoved(t)
		})
	}
}

// TestKilledKeeper kills the keeper and the test process. The kernel must end the machine and its mounts. The next boot must
// remove its files and cgroups.
func TestKilledKeeper(t *testing.T) {
	v := startVictim(t, "booted")
	machine := pidfd(t, v.init)
	// This lock prevents the boot of another test from removing the files before this test has checked that they exist.
	all, err := image.Lock(filepath.Join(image.CacheDir(), "run", ".lock"), unix.LOCK_EX)
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	for _, pid := range []int{v.keeper, v.test.Process.Pid} {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	_ = v.test.Wait()
	awaitEnd(t, "the machine", machine)
	v.checkMounts(t)
	if _, err := os.Stat(v.dir); err != nil {
		t.Errorf("the directory does not exist before the next boot: %v", err)
	}
	all.Close()
	Boot(t, Bookworm)
	v.checkRemoved(t)
}

// TestBootKeepsLivingMachines boots a machine while a machine of another process runs. The files of the other machine must
// not be removed.
func TestBootKeepsLivingMachines(t *testing.T) {
	v := startVictim(t, "booted")
	Boot(t, Bookworm)
	for _, path := range append(v.cgroups.dirs(), v.dir, v.dir+".lock", fmt.Sprintf("/proc/%d/ns", v.init)) {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("the running machine has lost %s: %v", path, err)
		}
	}
	keeper := pidfd(t, v.keeper)
	if err := v.test.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = v.test.Wait()
	awaitEnd(t, "the keeper", keeper)
}

// TestCloseRemovesAll checks that Close ends the machine and removes its cgroups, files and mounts.
func TestCloseRemovesAll(t *testing.T) {
	m, err := Open(t.Context(), Bookworm, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	v := victim{dir: m.dir, cgroups: m.cgroups}
	fd := pidfd(t, m.InitPID())
	m.Start(t, "sleep", "1000")
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	awaitEnd(t, "the machine", fd)
	v.checkRemoved(t)
	if err := m.Close(); err != nil {
		t.Errorf("the second Close returned %v", err)
	}
}

// TestOutOfTime checks that awaitBoot returns when its context ends.
func TestOutOfTime(t *testing.T) {
	img, err := image.Ensure(t.Context(), Bookworm, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer img.InUse.Close()
	m, err := start(img, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.awaitBoot(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("awaitBoot returned %v, want %v", err, context.Canceled)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	victim{dir: m.dir, cgroups: m.cgroups}.checkRemoved(t)
}

// TestBadArguments checks that the error contains the message of systemd-nspawn if systemd-nspawn does not start.
func TestBadArguments(t *testing.T) {
	_, err := Open(t.Context(), Bookworm, os.Stderr, NspawnArgs("--no-such-flag"))
	if err == nil || !strings.Contains(err.Error(), "no-such-flag") {
		t.Errorf("got %v, want an error with the unknown flag", err)
	}
}
