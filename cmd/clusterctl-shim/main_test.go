package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// asSystemd is an environment variable with the number of sockets for the shim. If the variable is set, the test binary acts
// as systemd: it sets LISTEN_FDS and LISTEN_PID for the descriptors from 3 on, and executes the real shim.
const asSystemd = "CLUSTERCTL_SHIM_TEST_FDS"

// shim is the path of the shim, and testdata is the directory of test programs. TestMain builds the shim and the programs.
var shim, testdata string

func TestMain(m *testing.M) {
	if n := os.Getenv(asSystemd); n != "" {
		os.Unsetenv(asSystemd)
		if n != "0" {
			os.Setenv("LISTEN_FDS", n)
			os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
		}
		err := syscall.Exec(os.Args[1], os.Args[1:], os.Environ())
		fmt.Fprintln(os.Stderr, "executing the shim:", err)
		os.Exit(99)
	}
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	dir, err := os.MkdirTemp("", "shim-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	// Other users must be able to execute the programs.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	shim, testdata = filepath.Join(dir, "clusterctl-shim"), dir
	builds := [][]string{
		{"go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", shim, "."},
		{"go", "build", "-buildvcs=false", "-o", filepath.Join(dir, "goserver"), "./testdata/goserver"},
		{"cc", "-O1", "-Wall", "-o", filepath.Join(dir, "cserver"), "testdata/cserver.c"},
		{"cc", "-O1", "-Wall", "-o", filepath.Join(dir, "binds"), "testdata/binds.c"},
	}
	for _, b := range builds {
		cmd := exec.Command(b[0], b[1:]...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%v: %v\n%s", b, err, out)
			return 1
		}
	}
	return m.Run()
}

// The function listen opens a listener as systemd does, and returns its descriptor and its address.
func listen(t *testing.T, network, address string, nonBlocking bool) (*os.File, string) {
	t.Helper()
	var config net.ListenConfig
	config.SetMultipathTCP(false) // as systemd does
	l, err := config.Listen(t.Context(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	name := l.Addr().String()
	type filer interface{ File() (*os.File, error) }
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	f, err := l.(filer).File()
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	t.Cleanup(func() { f.Close() })
	// File returns a descriptor of the same open file. Set O_NONBLOCK, which belongs to the open file.
	if err := syscall.SetNonblock(int(f.Fd()), nonBlocking); err != nil {
		t.Fatal(err)
	}
	return f, name
}

func port(address string) string {
	_, p, err := net.SplitHostPort(address)
	if err != nil {
		panic(err)
	}
	return p
}
