package drain_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// A cluster acts as the service manager. It has the shared listener open, and starts workers that inherit the listener.
// Each worker has its own cgroup.
type cluster struct {
	t      *testing.T
	fd     int // the shared listener
	addr   string
	argv   []string
	env    []string
	dir    string
	serial int          // number of the last worker
	log    bytes.Buffer // output of all drains, of which only one runs at a time
}

// worker is an instance.
type worker struct {
	cmd    *exec.Cmd
	cgroup string
	ready  string // file that some programs create when they are ready
}

func newCluster(t *testing.T, env []string, argv ...string) *cluster {
	t.Helper()
	fd := listen(t, unix.AF_INET, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port := name.(*unix.SockaddrInet4).Port
	return &cluster{t: t, fd: fd, addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), argv: argv, env: env, dir: t.TempDir()}
}

// newUnixCluster returns a cluster whose shared listener is a Unix socket.
func newUnixCluster(t *testing.T, argv ...string) *cluster {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	fd := listen(t, unix.AF_UNIX, &unix.SockaddrUnix{Name: path})
	return &cluster{t: t, fd: fd, addr: path, argv: argv, dir: t.TempDir()}
}

func listen(t *testing.T, family int, addr unix.Sockaddr) int {
	t.Helper()
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, addr); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 4096); err != nil {
		t.Fatal(err)
	}
	return fd
}

// cgroupRoot returns the mount point of cgroup v2, which is /sys/fs/cgroup/unified if v1 is mounted too.
func cgroupRoot(t *testing.T) string {
	for _, dir := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		var st unix.Statfs_t
		if unix.Statfs(dir, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
			return dir
		}
	}
	t.Fatal("cgroup v2 is not mounted")
	return ""
}

// The method cgroup makes a cgroup for a worker; (*worker).kill removes the cgroup.
func (c *cluster) cgroup() string {
	c.t.Helper()
	dir, err := os.MkdirTemp(cgroupRoot(c.t), "drain-test-")
	if err != nil {
		c.t.Fatal(err)
	}
	return dir
}

// The method start starts a worker and waits until it is ready. The end of the test kills the worker and removes its
// cgroup.
func (c *cluster) start() *worker {
	c.t.Helper()
	c.serial++
	w := &worker{cgroup: c.cgroup()}
	w.cmd = c.command(w.cgroup, c.argv[0], c.argv[1:]...)
	w.ready = filepath.Join(c.dir, fmt.Sprintf("ready-%d", c.serial))
	number, err := unix.FcntlInt(uintptr(c.fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		c.t.Fatal(err)
	}
	listener := os.NewFile(uintptr(number), "listener")
	w.cmd.ExtraFiles = []*os.File{listener}
	w.cmd.Env = append(append(os.Environ(), "READY="+w.ready), c.env...)
	w.cmd.Stderr = os.Stderr
	if err := w.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	listener.Close()
	// Set O_NONBLOCK again, as systemd does with NonBlocking=yes. Start has called os.File.Fd, which clears the flag for all
	// processes that share the listener.
	if err := unix.SetNonblock(c.fd, true); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(w.kill)
	c.await(w)
	return w
}

// command returns a command that runs in the cgroup.
func (c *cluster) command(cgroup, name string, args ...string) *exec.Cmd {
	dir, err := os.Open(cgroup)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { dir.Close() })
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd()), Pdeathsig: unix.SIGKILL}
	return cmd
}

// The method await waits until the worker is ready for connections.
func (c *cluster) await(w *worker) {
	c.t.Helper()
	deadline := time.Now().Add(patience.For(120 * time.Second))
	for time.Now().Before(deadline) {
		if isReady(w) {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	c.t.Fatalf("worker %v is not ready", c.argv)
}

// The method drain runs the subcommand "drain" for the worker as systemd runs ExecStop=: in the cgroup of the worker,
// with MAINPID, and as a child of the service manager. drain returns how long the drain took.
func (c *cluster) drain(w *worker, flags ...string) time.Duration {
	c.t.Helper()
	cmd := c.command(w.cgroup, "/proc/self/exe", append([]string{"drain"}, flags...)...)
	cmd.Env = append(os.Environ(), "MAINPID="+strconv.Itoa(w.cmd.Process.Pid))
	cmd.Stderr = &c.log
	start := time.Now()
	if err := cmd.Run(); err != nil {
		c.t.Errorf("drain: %v\n%s", err, c.log.String())
	}
	return time.Since(start)
}

// The method stop sends SIGTERM, waits for the end of the main process, and then kills the other processes, like
// KillMode=mixed.
func (w *worker) stop() error {
	if err := w.cmd.Process.Signal(unix.SIGTERM); err != nil {
		return err
	}
	timer := time.AfterFunc(patience.For(20*time.Second), func() { w.cmd.Process.Kill() })
	defer timer.Stop()
	err := w.cmd.Wait()
	w.kill()
	return err
}

// The method kill ends all processes of the instance and removes its cgroup.
func (w *worker) kill() {
	os.WriteFile(filepath.Join(w.cgroup, "cgroup.kill"), []byte("1"), 0)
	if w.cmd.ProcessState == nil {
		w.cmd.Process.Kill()
		w.cmd.Wait()
	}
	for range 1000 {
		if err := os.Remove(w.cgroup); err == nil || errors.Is(err, os.ErrNotExist) {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// The method roll restarts the workers one after the other, with n restarts in total. roll returns the duration of the
// longest drain.
func (c *cluster) roll(workers []*worker, n int, flags ...string) (longest time.Duration) {
	for i := range n {
		slot := i % len(workers)
		longest = max(longest, c.drain(workers[slot], flags...))
		workers[slot].stop()
		workers[slot] = c.start()
	}
	return longest
}

// A load runs clients that never retry, and records each failed request.
type load struct {
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	mu       sync.Mutex
	requests int
	failures []string
}

// startLoad starts n clients. If keepAlive is true, a client uses one connection until the server closes it. Otherwise it
// opens a new connection for each request.
func startLoad(addr, path string, n int, keepAlive bool, pause time.Duration) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{cancel: cancel}
	for range n {
		l.wg.Go(func() {
			cl := client{addr: addr, path: path, keepAlive: keepAlive}
			defer cl.close()
			for ctx.Err() == nil {
				err := cl.request()
				l.mu.Lock()
				l.requests++
				if err != nil {
					l.failures = append(l.failures, err.Error())
				}
				l.mu.Unlock()
				if pause > 0 {
					time.Sleep(pause)
				}
			}
		})
	}
	return l
}

func (l *load) stop() (requests int, failures []string) {
	l.cancel()
	l.wg.Wait()
	return l.requests, l.failures
}
