//go:build lab

package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/units"
)

// gate returns a service whose start lasts until the file /run/NAME exists.
func gate(name string) map[string]string {
	return map[string]string{name + ".service": fmt.Sprintf(`[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'until test -e /run/%s; do sleep 0.05; done'
ExecStopPost=/bin/rm -f /run/%[1]s
`, name)}
}

func open(t testing.TB, m *lab.Machine, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(m.Root(), "run", name), nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

// startDo calls Do in a goroutine. startDo returns when the job has been queued.
func startDo(t testing.TB, c *Conn, w *wire, op Op, unit string) <-chan Outcome {
	t.Helper()
	ended := make(chan Outcome, 1)
	watch, err := c.Watch(boundedContext(t), []string{unit})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	go func() {
		out, err := c.Do(boundedContext(t), op, Replace, unit)
		if err != nil {
			out[0].Err = err
		}
		ended <- out[0]
	}()
	for {
		change, err := watch.Next(boundedContext(t))
		if err != nil {
			t.Fatal(err)
		}
		if change.State.JobID != 0 {
			return ended
		}
	}
}

// TestReexecDuringWait checks that Do returns the result of a job although PID 1 re-executes itself. PID 1 then closes its
// connections, both on the bus and on its private socket, and keeps its jobs.
func TestReexecDuringWait(t *testing.T) {
	onAll(t, func(t *testing.T, m *lab.Machine, _ *Conn) {
		for _, mode := range []string{"bus", "private"} {
			t.Run(mode, func(t *testing.T) {
				if mode == "private" {
					stopBus(t, m)
				}
				w := new(wire)
				c := guest(t, m, w)
				// One job ends after the re-execution. The other job ends during the re-execution, when no signals arrive.
				all := gate("late-" + mode)
				early := "early-" + mode
				for path, text := range gate(early) {
					all[path] = text
				}
				files(t, m, c, all)
				late := startDo(t, c, w, Start, "late-"+mode+".service")
				soon := startDo(t, c, w, Start, early+".service")
				open(t, m, early)
				m.Sh(t, "systemctl daemon-reexec")
				open(t, m, "late-"+mode)
				for _, ended := range []<-chan Outcome{late, soon} {
					if o := <-ended; o.Result != Done || o.Err != nil {
						t.Errorf("got the outcome %+v, want done", o)
					}
				}
				if _, err := c.Do(boundedContext(t), Stop, Replace, "late-"+mode+".service", early+".service"); err != nil {
					t.Error(err)
				}
			})
		}
	})
}

// stopBus stops dbus-daemon until the end of the test.
func stopBus(t testing.TB, m *lab.Machine) {
	t.Helper()
	t.Cleanup(func() { m.Sh(t, "systemctl start dbus.socket dbus.service") })
	m.Sh(t, "systemctl stop dbus.socket dbus.service")
}

func TestBusEndsDuringWait(t *testing.T) {
	onAll(t, func(t *testing.T, m *lab.Machine, _ *Conn) {
		w := new(wire)
		c := guest(t, m, w)
		files(t, m, c, gate("orphan"))
		watch, err := c.Watch(boundedContext(t), []string{"orphan.service"})
		if err != nil {
			t.Fatal(err)
		}
		defer watch.Close()
		ended := startDo(t, c, w, Start, "orphan.service")
		stopBus(t, m)
		open(t, m, "orphan")
		if o := <-ended; o.Result != Done || o.Err != nil {
			t.Errorf("got the outcome %+v, want done", o)
		}
		for watch.States()[0].Active != ActiveRunning {
			if _, err := watch.Next(boundedContext(t)); err != nil {
				t.Fatal(err)
			}
		}
		w.mu.Lock()
		sockets := slices.Compact(slices.Clone(w.dialled))
		w.mu.Unlock()
		if !slices.Equal(sockets, []string{systemBus, privateBus}) {
			t.Errorf("connected to %v, want the bus and then the private socket", sockets)
		}
		if v, err := c.Version(boundedContext(t)); err != nil || v < units.OldestSystemd {
			t.Errorf("got the version %d, error %v, want at least %d", v, err, units.OldestSystemd)
		}
		if _, err := c.Do(boundedContext(t), Stop, Replace, "orphan.service"); err != nil {
			t.Error(err)
		}
	})
}

// asNobody calls f on a thread with the user ID of nobody. For connections that f opens, the kernel reports the user nobody
// as the peer.
func asNobody(t testing.TB, f func()) {
	t.Helper()
	const nobody, same = 65534, ^uintptr(0)
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the goroutine ends without an unlock, so its thread ends, too
		// syscall.Setresuid would change all threads.
		if _, _, errno := syscall.RawSyscall(unix.SYS_SETRESUID, same, nobody, same); errno != 0 {
			done <- errno
			return
		}
		f()
		done <- nil
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestPermission(t *testing.T) {
	onAll(t, func(t *testing.T, m *lab.Machine, c *Conn) {
		files(t, m, c, gate("forbidden"))
		root, err := unix.Open(m.Root(), unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(root)
		var user *Conn
		asNobody(t, func() {
			user, err = dialWith(boundedContext(t), under(fmt.Sprintf("/proc/self/fd/%d", root)))
		})
		if err != nil {
			t.Fatal(err)
		}
		defer user.Close()
		ctx := boundedContext(t)
		if _, err := user.States(ctx, []string{"forbidden.service"}); err != nil {
			t.Errorf("States: %v", err)
		}
		if _, err := user.Do(ctx, Start, Replace, "forbidden.service"); !errors.Is(err, ErrPermission) {
			t.Errorf("Do: got %v, want ErrPermission", err)
		}
		for name, err := range map[string]error{
			"reload": user.Reload(ctx), "enable": user.Enable(ctx, "forbidden.service"),
			"kill":  user.Kill(ctx, "dbus.service", unix.SIGTERM),
			"start": user.StartApp(ctx, "forbidden", []int{1}, Settling{Time: 0}, nil), "stop": user.StopApp(ctx, "dbus"),
		} {
			if !errors.Is(err, ErrPermission) {
				t.Errorf("%s: got %v, want ErrPermission", name, err)
			}
		}
	})
}

func under(root string) dialer {
	return func(ctx context.Context, socket string) (stream, error) { return dialUnix(ctx, root+socket) }
}

func TestNoSystemd(t *testing.T) {
	if _, err := dialWith(boundedContext(t), under(t.TempDir())); !errors.Is(err, ErrNoSystemd) {
		t.Errorf("without sockets: got %v, want ErrNoSystemd", err)
	}
	// Connect to a bus that accepts the connection and never replies.
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "run/dbus"), 0o755); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: dir + systemBus}), unix.Listen(fd, 1)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stop := context.AfterFunc(ctx, func() {})
	defer stop()
	dialled := make(chan struct{})
	go func() { <-dialled; cancel() }()
	_, err = dialWith(ctx, func(ctx context.Context, socket string) (stream, error) {
		defer func() {
			if socket == systemBus {
				close(dialled)
			}
		}()
		return under(dir)(ctx, socket)
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("with a bus that never replies: got %v, want context.Canceled", err)
	}
}

func TestManager(t *testing.T) {
	onAll(t, func(t *testing.T, m *lab.Machine, c *Conn) {
		ctx := boundedContext(t)
		v, err := c.Version(ctx)
		if err != nil || v != m.Systemd(t) {
			t.Errorf("got the version %d, error %v, want %d", v, err, m.Systemd(t))
		}
		paths, err := c.UnitPaths(ctx)
		if err != nil || !slices.Contains(paths, "/etc/systemd/system") {
			t.Errorf("got the unit paths %v, error %v, want /etc/systemd/system in them", paths, err)
		}
		files(t, m, c, map[string]string{
			"wanted.service": "[Service]\nExecStart=/bin/sleep 1000\n[Install]\nWantedBy=multi-user.target\n",
			"broken.service": "[Service]\nExecStart=/bin/false\n",
		})
		link := filepath.Join(m.Root(), "etc/systemd/system/multi-user.target.wants/wanted.service")
		if err := c.Enable(ctx, "wanted.service"); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(link); err != nil {
			t.Error(err)
		}
		if err := c.Disable(ctx, "wanted.service", "never-was.service"); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(link); !errors.Is(err, os.ErrNotExist) {
			t.Error("Disable did not remove the link:", err)
		}
		if err := c.Disable(ctx, "never-was.service"); err != nil {
			t.Errorf("disabling a missing unit: %v", err)
		}
		if err := c.Enable(ctx, "never-was.service"); !errors.Is(err, ErrNotFound) {
			t.Errorf("enabling a missing unit: got %v, want ErrNotFound", err)
		}

		out, err := c.Do(ctx, Start, Fail, "wanted.service", "broken.service")
		if err != nil || out[0].Result != Done || out[1].Result != Done {
			t.Errorf("got the outcomes %v, error %v, want two successful starts with Type=simple", out, err)
		}
		if err := c.Kill(ctx, "wanted.service", unix.SIGUSR1); err != nil {
			t.Error(err)
		}
		awaitState(t, c, "wanted.service", func(s State) bool { return Explain(s) == "killed by SIGUSR1" })
		if err := c.Kill(ctx, "never-was.service", unix.SIGUSR1); !errors.Is(err, ErrNotFound) {
			t.Errorf("killing a missing unit: got %v, want ErrNotFound", err)
		}
		awaitState(t, c, "broken.service", func(s State) bool { return s.Active == ActiveFailed })
		loaded, err := c.Loaded(ctx, "wanted.*", "brok*", "never*")
		if err != nil || !slices.Equal(loaded, []string{"broken.service", "wanted.service"}) {
			t.Errorf("got the loaded units %q, error %v, want broken.service and wanted.service", loaded, err)
		}
		if err := c.ResetFailed(ctx, "never-was.service", "broken.service", "wanted.service"); err != nil {
			t.Error(err)
		}
		awaitState(t, c, "broken.service", func(s State) bool { return s.Active == Inactive })
	})
}

// awaitState waits until the state of a unit matches.
func awaitState(t testing.TB, c *Conn, unit string, matches func(State) bool) {
	t.Helper()
	w, err := c.Watch(boundedContext(t), []string{unit})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for !matches(w.States()[0]) {
		if _, err := w.Next(boundedContext(t)); err != nil {
			t.Fatalf("waiting for a state: %v; the last state was %+v", err, w.States()[0])
		}
	}
}

func TestFailModeKeepsQueuedJob(t *testing.T) {
	onAll(t, func(t *testing.T, m *lab.Machine, c *Conn) {
		w := new(wire)
		files(t, m, c, gate("busy"))
		first := startDo(t, guest(t, m, w), w, Start, "busy.service")
		out, err := c.Do(boundedContext(t), Stop, Fail, "busy.service")
		if err != nil || !errors.Is(out[0].Err, ErrConflict) || out[0].Result != NoResult {
			t.Errorf("mode fail: got the outcomes %+v, error %v, want ErrConflict", out, err)
		}
		if s := states(t, c, "busy.service")[0]; s.Job != "start" || s.Active != Activating {
			t.Errorf("got the state %+v, want activating with a start job", s)
		}
		out, err = c.Do(boundedContext(t), Stop, Replace, "busy.service")
		if err != nil || out[0].Result != Done {
			t.Errorf("mode replace: got the outcomes %+v, error %v, want done", out, err)
		}
		if o := <-first; o.Result != Canceled || o.Err != nil {
			t.Errorf("the first job: got the outcome %+v, want canceled", o)
		}
	})
}
