package manage

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// effectCalls returns the steps that have changed something since the last call of this method.
func (l *lab) effectCalls() []string {
	var list []string
	for _, step := range l.systemd.Steps {
		if !isRead(step) && step != "reset" {
			list = append(list, step)
		}
	}
	l.systemd.Steps = nil
	return list
}

func (l *lab) mustInstall(t *testing.T, a units.App) Outcome {
	t.Helper()
	out, err := l.install(a, InstallOptions{Start: true})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestEffects checks which steps each kind of update makes in systemd, and the text of its outcome.
func TestEffects(t *testing.T) {
	admin := units.Listener{Name: "admin", Port: 8081}
	for _, c := range []struct {
		what          string
		before, after units.App
		effects       string
		outcome       string
	}{
		{"nothing", shop(), shop(), "", "shop: unchanged, 2/2 ready"},
		{
			"a variable", shop(), shop(withEnv("1")), "reload, stop shop@1, start shop@1, stop shop@2, start shop@2",
			"shop: updated (shop.env, shop@.service, shop.yaml), 2 reloaded",
		},
		{
			"an extra instance", shop(withSurge), shop(withSurge, withEnv("1")),
			"reload, start shop@3, stop shop@1, start shop@1, stop shop@2, start shop@2, stop shop@3",
			"shop: updated (shop.env, shop@.service, shop.yaml), 2 reloaded",
		},
		{
			"more instances", shop(), shop(withInstances(units.Count{N: 3})), "reload, start shop@3",
			"shop: updated (50-instances.conf, shop.yaml), 1 started",
		},
		{
			"fewer instances", shop(), shop(withInstances(units.Count{N: 1})), "reload, stop shop@2",
			"shop: updated (50-instances.conf, shop.yaml), 1 stopped",
		},
		{
			"another port", shop(), shop(withListeners(units.Listener{Port: 9090})),
			"stop shop, stop shop.socket, stop shop@1, stop shop@2, reload, start shop.socket, start shop, start shop@1, start shop@2",
			"shop: updated (shop.socket, shop@.service, shop.yaml), 2 started",
		},
		{
			"one more listener", shop(), shop(withListeners(units.Listener{Port: 8080}, admin)),
			"reload, stop shop, start shop-admin.socket, start shop, stop shop@1, start shop@1, stop shop@2, start shop@2",
			"shop: updated (shop-admin.socket, shop.service, shop@.service, shop.yaml), 2 reloaded",
		},
	} {
		l := newLab(t)
		if out := l.mustInstall(t, c.before); out.Action != Created || len(out.Instances) != 2 {
			t.Errorf("%s: the first install: got %+v, want a created app with 2 instances", c.what, out)
		}
		l.effectCalls()
		out := l.mustInstall(t, c.after)
		if got := strings.ReplaceAll(strings.Join(l.effectCalls(), ", "), ".service", ""); got != c.effects {
			t.Errorf("%s: got the steps %s, want %s", c.what, got, c.effects)
		}
		if got := out.String(); got != c.outcome {
			t.Errorf("%s: got the outcome %s, want %s", c.what, got, c.outcome)
		}
	}
}

// TestBrokenProgram checks that a first install, an update and a scale are rolled back if an instance does not start.
func TestBrokenProgram(t *testing.T) {
	l := newLab(t)
	l.systemd.Broken = func(i int, _ string) bool { return i == 3 }
	empty := l.snapshot()
	three := shop(withInstances(units.Count{N: 3}))
	wantNotReached(t, l, func() error { _, err := l.install(three, InstallOptions{Start: true}); return err }, empty)
	if got := l.takeNotes(); got != "rolling everything back" {
		t.Errorf("got the notes %q, want only the note about the rollback", got)
	}
	l.mustInstall(t, shop())
	before := l.snapshot()
	wantNotReached(t, l, func() error { _, err := l.install(three, InstallOptions{Start: true}); return err }, before)
	wantNotReached(t, l, func() error {
		r, err := l.Scale(t.Context(), "shop", Scaling{By: 1}, ScaleOptions{})
		if r.OK || r.From != 2 || r.To != 2 || r.Changed || len(r.Log) != 1 || r.Instances[0].Outcome != "failed" {
			t.Errorf("got the result %+v, want a failed instance and 2 instances as before", r)
		}
		return err
	}, before)
}

// wantNotReached checks that the command fails because of instance 3, and that the snapshot after the command is equal to
// want.
func wantNotReached(t *testing.T, l *lab, command func() error, want []string) {
	t.Helper()
	err := command()
	notReached, _ := errors.AsType[*fault.NotReached](err)
	instance, _ := errors.AsType[*control.InstanceError](err)
	if notReached == nil || len(notReached.Log) != 1 || instance == nil || instance.Instance != 3 {
		t.Errorf("got error %v, want a NotReached with a log line and the error of instance 3", err)
	}
	if d := cmp.Diff(want, l.snapshot()); d != "" {
		t.Errorf("the app is not as before (-before +now):\n%s", d)
	}
}

// TestWanted checks that start and scale use the same number of instances. A percentage uses the number of CPUs at the time
// of the install, and "max" uses the current number.
func TestWanted(t *testing.T) {
	for _, c := range []struct {
		count units.Count
		want  int // on 8 CPUs, after an install on 4
	}{
		{units.Count{Percent: 50}, 2}, {units.Count{N: -1}, 3}, {units.Count{N: 2}, 2}, {units.Count{Max: true}, 8},
	} {
		l := newLab(t)
		l.mustInstall(t, shop(withInstances(c.count)))
		l.systemd.CPU.Affinity = 8
		var totals []int
		l.Progress = func(_ units.Name, total int) Progress { totals = append(totals, total); return noProgress{} }
		s, err := l.Open(t.Context(), "shop")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.Stop(t.Context()), s.Start(t.Context(), 0), s.Close()); err != nil {
			t.Fatal(err)
		}
		r, err := l.Scale(t.Context(), "shop", Scaling{By: 1}, ScaleOptions{})
		if err != nil || r.From != c.want || !cmp.Equal(totals[:1], []int{c.want}) {
			t.Errorf("%v: scale counts %d instances, start counts %v, want %d, error %v", c.count, r.From, totals, c.want, err)
		}
	}
}

// TestSession checks that Close removes the lock file if the app is not installed, and keeps the lock file of an installed
// app.
func TestSession(t *testing.T) {
	l := newLab(t)
	lock := filepath.Join(l.Store.Run, "shop.lock")
	locked := func() bool { _, err := os.Lstat(lock); return err == nil }
	s, err := l.Open(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Current(); s.Installed() || !hasType[*install.NotInstalledError](err) || !locked() {
		t.Errorf("not installed: got installed %v, error %v, a lock file: %v", s.Installed(), err, locked())
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil || locked() {
		t.Errorf("after Close: got error %v, a lock file: %v", err, locked())
	}
	l.mustInstall(t, shop())
	if s, err = l.Open(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	if a, err := s.Current(); err != nil || a.Name != "shop" || !s.Installed() {
		t.Errorf("installed: got %+v, error %v", a, err)
	}
	if err := s.Close(); err != nil || !locked() {
		t.Errorf("after Close of an installed app: got error %v, a lock file: %v", err, locked())
	}
	r, err := l.Uninstall(t.Context(), "shop", false)
	if err != nil || len(r.Instances) != 2 || r.Instances[1].Outcome != "stopped" || locked() {
		t.Errorf("uninstall: got %+v, error %v, a lock file: %v", r, err, locked())
	}
	if r, err := l.Uninstall(t.Context(), "shop", false); err != nil || len(r.Instances) != 0 {
		t.Errorf("uninstall of an app that is not installed: got %+v, error %v", r, err)
	}
}

// TestLifecycle checks the results of stop, start and restart, each for one instance and for all instances.
func TestLifecycle(t *testing.T) {
	l := newLab(t)
	l.mustInstall(t, shop(withInstances(units.Count{N: 3})))
	l.systemd.CPU.Affinity = 2
	for _, c := range []struct {
		what    string
		only    int
		stops   bool
		command func(*Session, context.Context) error
		want    string
	}{
		{"stop one", 2, true, func(s *Session, ctx context.Context) error { return s.StopInstance(ctx, 2) }, "2 stopped"},
		{"start one", 2, false, func(s *Session, ctx context.Context) error { return s.StartInstance(ctx, 2) }, "2 started"},
		{"restart one", 3, false, func(s *Session, ctx context.Context) error { return s.RestartInstance(ctx, 3) }, "3 reloaded"},
		{
			"restart", 0, false, func(s *Session, ctx context.Context) error { return s.Restart(ctx, 0) },
			"1 reloaded, 2 reloaded, 3 reloaded",
		},
		{"stop", 0, true, func(s *Session, ctx context.Context) error { return s.Stop(ctx) }, "1 stopped, 2 stopped, 3 stopped"},
		{"start", 0, false, func(s *Session, ctx context.Context) error { return s.Start(ctx, 0) }, "1 started, 2 started, 3 started"},
		{"an instance that is not listed", 4, false, nil, "shop has no instance 4"},
	} {
		s, err := l.Open(t.Context(), "shop")
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.RunCommand(t.Context(), c.only, c.stops, func(ctx context.Context) error { return c.command(s, ctx) })
		var words []string
		for _, i := range r.Instances {
			words = append(words, strings.TrimSuffix(strings.TrimPrefix(i.Unit, "shop@"), ".service")+" "+i.Outcome)
		}
		if err != nil {
			words = append(words, err.Error())
		}
		if got := strings.Join(words, ", "); got != c.want {
			t.Errorf("%s: got %s, want %s", c.what, got, c.want)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKilledAtStop checks that the result of a stop marks the killed instance and contains the reason.
func TestKilledAtStop(t *testing.T) {
	l := newLab(t)
	l.mustInstall(t, shop())
	s, err := l.Open(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	killed := control.Killed{Unit: "shop@1.service", Op: control.Stop}
	r, err := s.RunCommand(t.Context(), 0, true, func(ctx context.Context) error {
		l.Kills.Add(killed)
		return s.Stop(ctx)
	})
	if !hasType[*control.KilledError](err) || r.OK || len(r.Instances) != 2 {
		t.Fatalf("got error %v, result %+v, want a KilledError and 2 instances", err, r)
	}
	for i, reason := range []string{killed.Reason(), ""} {
		if got := r.Instances[i]; got.Outcome != "stopped" || got.Killed != (i == 0) || got.Reason != reason {
			t.Errorf("got %+v, want the reason %q", got, reason)
		}
	}
}
