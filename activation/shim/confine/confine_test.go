package confine_test

import (
	"os"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/confine"
)

// asChild is the environment variable that makes the test binary run as a confined process, which
// signals its parent.
const asChild = "CLUSTERCTL_TEST_CONFINED"

// TestSignals: a confined process cannot signal its parent, but the parent can still signal this
// process.
func TestSignals(t *testing.T) {
	if os.Getenv(asChild) != "" {
		runConfined(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestSignals$", "-test.v")
	cmd.Env = append(os.Environ(), asChild+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

func runConfined(t *testing.T) {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(os.Getppid(), 0); err != nil {
		t.Fatalf("a signal to the parent before Signals() failed: %v", err)
	}
	got := confine.Signals()
	err := unix.Kill(os.Getppid(), 0)
	if got != (err == unix.EPERM) {
		t.Errorf("Signals() = %v, and a signal to the parent then returned %v; want EPERM only after true", got, err)
	}
	// A child belongs to the same domain, so the process can signal the child.
	child := exec.Command("/bin/sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Errorf("signal to a child: %v", err)
	}
	_ = child.Wait()
	t.Logf("the kernel supports Signals: %v", got)
}
