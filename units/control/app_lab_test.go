//go:build lab

package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/units"
)

// The function phases returns a function that records the phases of each instance in the map seen, by instance number.
func phases(seen map[int][]string) func(Progress) {
	return func(p Progress) { seen[p.Instance] = append(seen[p.Instance], p.Phase.String()) }
}

func TestStartAndStopApp(t *testing.T) {
	onAll(t, func(t *testing.T, m *lab.Machine, c *Conn) {
		ctx := boundedContext(t)
		const name = units.Name("up-down")
		files(t, m, c, app(t, string(name), func(a *units.App, _ *units.Sizing) {
			a.Command, a.Ready = notifier(""), units.ReadyNotify
		}))
		cleanApp(t, c, name)

		seen := make(map[int][]string)
		if err := c.StartApp(ctx, name, []int{1, 2}, Settling{Time: 100 * time.Millisecond}, phases(seen)); err != nil {
			t.Fatal(err)
		}
		want := map[int][]string{1: {"starting", "ready"}, 2: {"starting", "ready"}}
		if d := cmp.Diff(want, seen); d != "" {
			t.Errorf("phases (-want +got):\n%s", d)
		}
		before := states(t, c, "up-down@1.service", "up-down@2.service", "up-down.service", "up-down.socket")
		for _, s := range before {
			if !s.Up() || s.Load != Loaded || s.Result != "success" {
				t.Errorf("got the state %+v, want loaded, up and success", s)
			}
		}
		if s := before[0]; s.StatusText != "serving" || s.MainPID == 0 || s.ActiveSince.IsZero() ||
			!strings.HasSuffix(s.ControlGroup, "/up-down@1.service") || s.FragmentPath != "/etc/systemd/system/up-down@.service" {
			t.Errorf("got the state %+v, want a running unit with the status serving", s)
		}

		// A second start of the app succeeds and changes nothing.
		if err := c.StartApp(ctx, name, []int{1, 2}, Settling{Time: 0}, nil); err != nil {
			t.Error(err)
		}
		if err := c.RestartInstances(ctx, name, []int{1, 2}, 100*time.Millisecond, nil); err != nil {
			t.Error(err)
		}
		after := states(t, c, "up-down@1.service", "up-down@2.service", "up-down.service", "up-down.socket")
		if after[0].MainPID == before[0].MainPID || after[1].MainPID == before[1].MainPID {
			t.Error("RestartInstances did not restart an instance")
		}
		if !after[3].ActiveSince.Equal(before[3].ActiveSince) || !after[2].ActiveSince.Equal(before[2].ActiveSince) {
			t.Error("RestartInstances restarted the socket or the aggregate")
		}

		// StopApp also stops an instance that the aggregate does not start.
		if out, err := c.Do(ctx, Start, Fail, "up-down@7.service"); err != nil || out[0].Result != Done {
			t.Errorf("got the outcomes %v, error %v, want done", out, err)
		}
		if err := c.StopApp(ctx, name); err != nil {
			t.Error(err)
		}
		for _, s := range states(t, c, "up-down@1.service", "up-down@2.service", "up-down@7.service", "up-down.service", "up-down.socket") {
			if s.Active != Inactive || s.MainPID != 0 {
				t.Errorf("got the state %+v after the stop, want inactive", s)
			}
		}
		if err := c.StopApp(ctx, name); err != nil {
			t.Error("stopping a stopped app:", err)
		}
		if err := c.StopApp(ctx, "never-was"); err != nil {
			t.Error("stopping a missing app:", err)
		}
	})
}

func states(t testing.TB, c *Conn, names ...string) []State {
	t.Helper()
	ss, err := c.States(boundedContext(t), names)
	if err != nil {
		t.Fatal(err)
	}
	return ss
}

// failures are apps whose start must fail, with the reason in the error.
var failures = []struct {
	name, want string
	change     func(a *units.App, s *units.Sizing)
}{
	{"exits", "exited with status 3", func(a *units.App, _ *units.Sizing) { a.Command = []string{"/bin/sh", "-c", "exit 3"} }},
	{"exits-zero", "exited with status 0", func(a *units.App, _ *units.Sizing) { a.Command = []string{"/bin/true"} }},
	{"exits-later", "exited with status 4", func(a *units.App, _ *units.Sizing) {
		a.Command = []string{"/bin/sh", "-c", "sleep 0.3; exit 4"}
	}},
	{"one-exits", "exited with status 5", func(a *units.App, _ *units.Sizing) {
		a.Command = []string{"/bin/sh", "-c", `case $UNIT in 2) exit 5; esac; exec sleep 1000`}
		a.Env = []units.EnvVar{{Name: "UNIT", Value: "%i"}}
	}},
	{"no-restart", "exited with status 6", func(a *units.App, _ *units.Sizing) {
		a.Command, a.Restart = []string{"/bin/sh", "-c", "exit 6"}, units.RestartNo
	}},
	{"killed", "killed by SIGTERM", func(a *units.App, _ *units.Sizing) { a.Command = []string{"/bin/sh", "-c", "kill -TERM $$"} }},
	{"never-ready", "no READY=1 within 1s (timeout)", func(a *units.App, _ *units.Sizing) {
		a.Ready, a.Timeouts.Start = units.ReadyNotify, time.Second
	}},
	{"ends-unready", "exited with status 0 before READY=1", func(a *units.App, _ *units.Sizing) {
		a.Ready, a.Command = units.ReadyNotify, []string{"/bin/true"}
	}},
	{"no-program", "the program cannot be executed (does it exist, and may the user execute it?) (status 203)",
		func(a *units.App, _ *units.Sizing) {
			a.Command = []string{"/no/such/program"}
		}},
	{"no-directory", "the working directory cannot be entered (does WorkingDirectory= exist, and may the user enter it?) (status 200)",
		func(a *units.App, _ *units.Sizing) {
			a.Directory = "/no/such/directory"
		}},
	{"no-user", "the user or the user namespace cannot be used (does User= exist? does PrivateUsers= work here?) (status 217)",
		func(a *units.App, _ *units.Sizing) {
			a.RunAs.User = "no-such-user"
		}},
	{"no-group", "the group cannot be used (does Group= exist?) (status 216)", func(a *units.App, _ *units.Sizing) {
		a.RunAs.Group = "no-such-group"
	}},
}

func TestInstanceErrorReason(t *testing.T) {
	onAll(t, func(t *testing.T, m *lab.Machine, c *Conn) {
		all := make(map[string]string)
		for _, f := range failures {
			for path, text := range app(t, f.name, f.change) {
				all[path] = text
			}
		}
		// The specifier %i must reach systemd unescaped.
		all["one-exits@.service"] = strings.ReplaceAll(all["one-exits@.service"], "UNIT=%%i", "UNIT=%i")
		files(t, m, c, all)
		for _, f := range failures {
			t.Run(f.name, func(t *testing.T) {
				name := units.Name(f.name)
				cleanApp(t, c, name)
				seen := make(map[int][]string)
				err := c.StartApp(boundedContext(t), name, []int{1, 2}, Settling{Time: 5 * time.Second}, phases(seen))
				var failed *InstanceError
				if !errors.As(err, &failed) {
					t.Fatalf("got %v, want an InstanceError", err)
				}
				if failed.Reason != f.want || failed.Unit != name.Instance(failed.Instance) {
					t.Errorf("%s: %q, want %q\n%+v", failed.Unit, failed.Reason, f.want, failed.State)
				}
				if steps := seen[failed.Instance]; len(steps) == 0 || steps[len(steps)-1] != "failed" {
					t.Errorf("got the phases %v, want failed as the last one", seen)
				}
				if f.name == "one-exits" && failed.Instance != 2 {
					t.Errorf("%s failed, want the second instance", failed.Unit)
				}
			})
		}
	})
}

func TestPortTaken(t *testing.T) {
	onAll(t, func(t *testing.T, m *lab.Machine, c *Conn) {
		const name = units.Name("taken")
		all := app(t, string(name), nil)
		all["squatter.socket"] = fmt.Sprintf("[Socket]\nListenStream=127.0.0.1:%d\nAccept=yes\n", port(string(name)))
		all["squatter@.service"] = "[Service]\nExecStart=/bin/true\n"
		files(t, m, c, all)
		cleanApp(t, c, name)
		if out, err := c.Do(boundedContext(t), Start, Replace, "squatter.socket"); err != nil || out[0].Result != Done {
			t.Fatalf("got the outcomes %v, error %v, want done", out, err)
		}
		err := c.StartApp(boundedContext(t), name, []int{1, 2}, Settling{Time: time.Second}, nil)
		var failed *SocketError
		if !errors.As(err, &failed) {
			t.Fatalf("got %v, want a SocketError", err)
		}
		want := fmt.Sprintf("taken.socket: 127.0.0.1:%d: it could not listen (is the address in use, or not an address of this machine?)",
			port(string(name)))
		if failed.Error() != want {
			t.Errorf("got  %s\nwant %s", failed, want)
		}
		// At the second start, the socket has already failed.
		if err := c.StartApp(boundedContext(t), name, []int{1, 2}, Settling{Time: time.Second}, nil); !errors.As(err, &failed) {
			t.Errorf("second start: got %v, want a SocketError", err)
		}
		if _, err := c.Do(boundedContext(t), Stop, Replace, "squatter.socket"); err != nil {
			t.Error(err)
		}
		// The port is free, so the app starts.
		if err := c.StartApp(boundedContext(t), name, []int{1, 2}, Settling{Time: 100 * time.Millisecond}, nil); err != nil {
			t.Error(err)
		}
	})
}

func TestConditionSkips(t *testing.T) {
	onAll(t, func(t *testing.T, m *lab.Machine, c *Conn) {
		const name = units.Name("conditional")
		all := app(t, string(name), func(_ *units.App, s *units.Sizing) { s.Listed = 3 })
		// Use this condition instead of ConditionCPUs=, because the test cannot set the number of CPUs.
		all["conditional@3.service.d/condition.conf"] = "[Unit]\nConditionPathExists=/no/such/path\n"
		files(t, m, c, all)
		cleanApp(t, c, name)
		for range 2 {
			seen := make(map[int][]string)
			settling := Settling{Time: 100 * time.Millisecond}
			if err := c.StartApp(boundedContext(t), name, []int{1, 2, 3}, settling, phases(seen)); err != nil {
				t.Fatal(err)
			}
			if steps := seen[3]; len(steps) == 0 || steps[len(steps)-1] != "skipped" {
				t.Errorf("got the phases %v, want skipped as the last one of instance 3", seen)
			}
		}
		if s := states(t, c, "conditional@3.service")[0]; !s.Skipped() || Explain(s) != "skipped: a condition is not met" {
			t.Errorf("got the state %+v, want skipped by a condition", s)
		}
	})
}

func TestMasked(t *testing.T) {
	onAll(t, func(t *testing.T, m *lab.Machine, c *Conn) {
		const name = units.Name("veiled")
		files(t, m, c, app(t, string(name), nil))
		cleanApp(t, c, name)
		mask := filepath.Join(m.Root(), "etc/systemd/system/veiled@2.service")
		if err := os.Symlink("/dev/null", mask); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Remove(mask) })
		if err := c.Reload(boundedContext(t)); err != nil {
			t.Fatal(err)
		}
		err := c.StartApp(boundedContext(t), name, []int{1, 2}, Settling{Time: 100 * time.Millisecond}, nil)
		var failed *InstanceError
		if !errors.As(err, &failed) || failed.Instance != 2 || failed.Reason != "it is masked" {
			t.Errorf("start of the app: got %v, want the reason \"it is masked\" for instance 2", err)
		}
		out, err := c.Do(boundedContext(t), Start, Replace, "veiled@2.service", "no-such-unit.service", "veiled@1.service")
		if err != nil || !errors.Is(out[0].Err, ErrMasked) || !errors.Is(out[1].Err, ErrNotFound) || out[2].Result != Done {
			t.Errorf("got the outcomes %v, error %v, want ErrMasked, ErrNotFound and done", out, err)
		}
	})
}

func TestStopDuringStart(t *testing.T) {
	onAll(t, func(t *testing.T, m *lab.Machine, c *Conn) {
		const name = units.Name("slow")
		files(t, m, c, app(t, string(name), func(a *units.App, _ *units.Sizing) { a.Ready = units.ReadyNotify }))
		cleanApp(t, c, name)
		started, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			n := 0
			ended <- c.StartApp(boundedContext(t), name, []int{1, 2}, Settling{Time: time.Second}, func(p Progress) {
				if n++; p.Phase == Starting && n == 2 {
					close(started)
				}
			})
		}()
		<-started
		if err := c.StopApp(boundedContext(t), name); err != nil {
			t.Error(err)
		}
		var failed *JobError
		if err := <-ended; !errors.As(err, &failed) || failed.Result != Canceled {
			t.Errorf("got %v, want the JobError of a canceled job", err)
		}
	})
}

func TestCancelEndsStart(t *testing.T) {
	onReleases(t, func(t *testing.T, m *lab.Machine, c *Conn) {
		const name = units.Name("endless")
		files(t, m, c, app(t, string(name), func(a *units.App, _ *units.Sizing) { a.Ready = units.ReadyNotify }))
		cleanApp(t, c, name)
		ctx, cancel := context.WithCancel(boundedContext(t))
		err := c.StartApp(ctx, name, []int{1, 2}, Settling{Time: time.Second}, func(Progress) { cancel() })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
		// The start job continues after the cancellation. Wait for the state, because the job may still wait for the socket.
		awaitState(t, c, "endless@1.service", func(s State) bool { return s.Active == Activating })
	}, lab.Bookworm)
}
