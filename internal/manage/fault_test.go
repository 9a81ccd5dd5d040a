package manage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/clusterctl/clusterctl/units"
)

// tempDir returns a new directory. If possible, the directory is in memory, where fsync is fast.
func tempDir(t testing.TB) string {
	parent := ""
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		parent = "/dev/shm"
	}
	dir, err := os.MkdirTemp(parent, "clusterctl-manage-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// snapshot returns the files in the directory of the lab and the units that are up. Each unit has a hash of the unit file
// with which it was started.
func (l *lab) snapshot() []string {
	var list []string
	_ = filepath.WalkDir(l.dir, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(l.dir, path)
		if err != nil || d.IsDir() || strings.HasPrefix(rel, "run/") {
			return nil
		}
		data, _ := os.ReadFile(path)
		if strings.HasPrefix(rel, "state/") {
			data = nil // revisions contain times
		}
		list = append(list, fmt.Sprintf("%s: %s", rel, data))
		return nil
	})
	return append(list, l.systemd.Up()...)
}

var errFault = errors.New("injected fault")

// A panic with a value of the type simulatedKill simulates a kill of the process.
type simulatedKill struct{}

// The map faults has a function for each kind of fault. Each function returns the Fault of a simulated systemd, which begins
// to fail at the step with the number at.
var faults = map[string]func(at int) func(int, string) error{
	"once": func(at int) func(int, string) error {
		return func(n int, _ string) error {
			if n == at {
				return errFault
			}
			return nil
		}
	},
	"all from here": func(at int) func(int, string) error {
		return func(n int, _ string) error {
			if n >= at {
				return errFault
			}
			return nil
		}
	},
	"killed": func(at int) func(int, string) error {
		return func(n int, _ string) error {
			if n >= at {
				panic(simulatedKill{})
			}
			return nil
		}
	},
}

// The method try runs a command with a fault, and returns the error of the command. The result died is true if the fault
// simulated a kill.
func (l *lab) try(command func(*lab) error, fault func(int, string) error) (err error, died bool) {
	defer func() {
		l.systemd.Fault = nil
		if p := recover(); p != nil {
			if _, ok := p.(simulatedKill); !ok {
				panic(p)
			}
			died = true
		}
	}()
	start := len(l.systemd.Steps)
	l.systemd.Fault = func(n int, step string) error { return fault(n-start, step) }
	return command(l), false
}

// scenario is a command that the tests run with faults.
type scenario struct {
	// dir is the directory of the store. All runs use the same directory, because files contain its path.
	dir string
	// The function before creates the app, and the function command runs the tested command.
	before, command func(*lab) error
	// filesOnly is set if a failed command must restore only the files. A failed uninstall may leave units stopped. It keeps
	// no intent on disk, because the next command would then complete the uninstall.
	filesOnly bool
}

// isRestored reports whether two snapshots are equal. If filesOnly is set, it compares only their files.
func (c scenario) isRestored(now, before []string) bool {
	if !c.filesOnly {
		return cmp.Equal(now, before)
	}
	files := func(snapshot []string) []string {
		return slices.DeleteFunc(slices.Clone(snapshot), func(s string) bool {
			return !strings.HasPrefix(s, "config/") && !strings.HasPrefix(s, "units/") || strings.Contains(s, ".wants/")
		})
	}
	return cmp.Equal(files(now), files(before))
}

// tester has the common methods of testing.T and rapid.T.
type tester interface {
	Fatal(...any)
	Fatalf(string, ...any)
}

// prepare returns a lab with the app in the state before the command.
func (c scenario) prepare(t tester) *lab {
	if err := os.RemoveAll(c.dir); err != nil {
		t.Fatal(err)
	}
	l := newLabAt(c.dir)
	if err := c.before(l); err != nil {
		t.Fatal(err)
	}
	return l
}

// runAndList runs the command without a fault, and returns a snapshot and the steps of the command.
func (c scenario) runAndList(t tester) (after, steps []string) {
	l := c.prepare(t)
	before := len(l.systemd.Steps)
	if err := c.command(l); err != nil {
		t.Fatalf("without a fault: got error %v", err)
	}
	if list := l.systemd.Outdated(); len(list) > 0 {
		t.Fatalf("units with another configuration are up: %q", list)
	}
	return l.snapshot(), l.systemd.Steps[before:]
}

// checkFault runs the command with a fault at a step. Afterwards the app must be as before the command, or an intent must
// exist with which the next command restores the app. If one of the last steps fails, the state after a successful command
// is also correct.
func (c scenario) checkFault(t tester, fault string, at int, after []string) {
	l := c.prepare(t)
	before := l.snapshot()
	err, died := l.try(c.command, faults[fault](at))
	about := fmt.Sprintf("a fault at step %d (%s), %q", at, fault, l.systemd.Steps[len(l.systemd.Steps)-1])
	now := l.snapshot()
	_, pending, pendingErr := l.Store.Pending("shop")
	if extra, err := l.Store.Extra("shop"); err == nil && len(extra) > 0 {
		pending = true // extra instances may be left, which the next command stops
	}
	switch {
	case pendingErr != nil:
		t.Fatalf("%s: reading the intent: %v", about, pendingErr)
	case !died && err == nil && !cmp.Equal(now, after):
		t.Fatalf("%s: got no error, but the app is not as after the command (-want +got):\n%s", about, cmp.Diff(after, now))
	case !died && err != nil && !errors.Is(err, errFault):
		t.Fatalf("%s: got error %v, want the injected fault", about, err)
	case !pending && !c.isRestored(now, before) && !cmp.Equal(now, after):
		t.Fatalf("%s: no intent is kept, but the app is not as before (-before +now):\n%s", about, cmp.Diff(before, now))
	}
	s, err := l.Open(context.Background(), "shop")
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		t.Fatalf("%s: the next command: got error %v", about, err)
	}
	now = l.snapshot()
	if _, pending, _ := l.Store.Pending("shop"); pending || !c.isRestored(now, before) && !cmp.Equal(now, after) {
		t.Fatalf("%s: the next command has not restored the app (-before +now), an intent is left: %v\n%s",
			about, pending, cmp.Diff(before, now))
	}
	if list := l.systemd.Outdated(); len(list) > 0 {
		t.Fatalf("%s: units with another configuration are up: %q", about, list)
	}
}

// isRead reports whether a step changes nothing.
func isRead(step string) bool {
	return slices.Contains([]string{"version", "cpus", "unit paths", "states", "loaded"}, step)
}

// shop returns an app with two instances, after all functions in change have changed it.
func shop(change ...func(*units.App)) units.App {
	a := units.App{
		Name: "shop", Command: []string{"/bin/true"}, Instances: units.Count{N: 2}, Activation: units.Native,
		Listen: []units.Listener{{Port: 8080}},
	}
	for _, f := range change {
		f(&a)
	}
	return a
}

func withEnv(value string) func(*units.App) {
	return func(a *units.App) { a.Env = []units.EnvVar{{Name: "A", Value: value}} }
}

func withInstances(c units.Count) func(*units.App) { return func(a *units.App) { a.Instances = c } }

func withListeners(list ...units.Listener) func(*units.App) {
	return func(a *units.App) { a.Listen = list }
}

func withSurge(a *units.App) { a.Surge = 1 }

// The function installs returns a command that installs or updates an app.
func installs(a units.App) func(*lab) error {
	return func(l *lab) error {
		_, err := l.install(a, InstallOptions{Start: true})
		return err
	}
}

// installStopped returns a command that installs an app and stops it.
func installStopped(a units.App) func(*lab) error {
	return func(l *lab) error {
		if err := installs(a)(l); err != nil {
			return err
		}
		return l.systemd.StopApp(context.Background(), a.Name)
	}
}

func scales(how Scaling) func(*lab) error {
	return func(l *lab) error {
		_, err := l.Scale(context.Background(), "shop", how, ScaleOptions{})
		return err
	}
}

func uninstalls(l *lab) error {
	_, err := l.Uninstall(context.Background(), "shop", false)
	return err
}

// TestFaults runs each command with each fault at each step.
func TestFaults(t *testing.T) {
	first := units.Listener{Port: 8080}
	admin, adm := units.Listener{Name: "admin", Port: 8081}, units.Listener{Name: "adm", Port: 8081}
	none := func(*lab) error { return nil }
	updatesStopped := func(l *lab) error {
		_, err := l.install(shop(withEnv("1")), InstallOptions{})
		return err
	}
	ofMax := shop(withInstances(units.Count{Max: true}))
	for name, c := range map[string][2]func(*lab) error{
		"install":                     {none, installs(shop())},
		"install of a background app": {none, installs(shop(withListeners()))},
		"another variable":            {installs(shop()), installs(shop(withEnv("1")))},
		"an extra instance":           {installs(shop(withSurge)), installs(shop(withSurge, withEnv("1")))},
		"another port":                {installs(shop()), installs(shop(withListeners(units.Listener{Port: 9090})))},
		"one more listener":           {installs(shop()), installs(shop(withListeners(first, admin)))},
		"one listener less":           {installs(shop(withListeners(first, admin))), installs(shop())},
		"a listener in another unit":  {installs(shop(withListeners(first, admin))), installs(shop(withListeners(first, adm)))},
		"the listener removed":        {installs(shop()), installs(shop(withListeners()))},
		"more instances":              {installs(shop()), installs(shop(withInstances(units.Count{N: 4})))},
		"fewer and a variable":        {installs(shop()), installs(shop(withInstances(units.Count{N: 1}), withEnv("1")))},
		"another variable, stopped":   {installStopped(shop()), updatesStopped},
		"a start by an update":        {installStopped(shop()), installs(shop(withEnv("1")))},
		"scale up":                    {installs(shop()), scales(Scaling{By: 2})},
		"scale down":                  {installs(shop()), scales(Scaling{By: -1})},
		"scale to max":                {installs(shop()), scales(Scaling{To: units.Count{Max: true}})},
		"scale from max":              {installs(ofMax), scales(Scaling{To: units.Count{N: 2}})},
		"scale of a stopped app":      {installStopped(shop()), scales(Scaling{By: 2})},
		"uninstall":                   {installs(shop()), uninstalls},
		"uninstall of a stopped app":  {installStopped(shop()), uninstalls},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := scenario{dir: tempDir(t), before: c[0], command: c[1], filesOnly: strings.HasPrefix(name, "uninstall")}
			after, steps := c.runAndList(t)
			for i, step := range steps {
				c.checkFault(t, "once", i+1, after)
				if !isRead(step) { // a kill before a read has the same effect as a kill before the next change
					c.checkFault(t, "all from here", i+1, after)
					c.checkFault(t, "killed", i+1, after)
				}
			}
		})
	}
}

// anyShop draws an app.
func anyShop(t *rapid.T, label string) units.App {
	counts := []units.Count{{N: 1}, {N: 2}, {N: 3}, {Max: true}, {Percent: 50}}
	a := shop(withInstances(rapid.SampledFrom(counts).Draw(t, label+" instances")))
	if rapid.Bool().Draw(t, label+" variable") {
		withEnv(label)(&a)
	}
	if rapid.Bool().Draw(t, label+" surge") {
		withSurge(&a)
	}
	ports := rapid.SampledFrom([][]uint16{nil, {8080}, {8080, 8081}, {9090}, {8081}}).Draw(t, label+" ports")
	a.Listen = nil
	for i, port := range ports {
		l := units.Listener{Port: port}
		if i > 0 {
			l.Name = "admin"
		}
		a.Listen = append(a.Listen, l)
	}
	return a
}

// TestFaultsProperty runs an update from one random app to another with a random fault.
func TestFaultsProperty(t *testing.T) {
	dir := tempDir(t)
	rapid.Check(t, func(t *rapid.T) {
		before, after := anyShop(t, "before"), anyShop(t, "after")
		c := scenario{dir: dir, before: installs(before), command: installs(after)}
		if rapid.Bool().Draw(t, "stopped") {
			c.before = installStopped(before)
		}
		changed, steps := c.runAndList(t)
		if len(steps) > 0 {
			fault := rapid.SampledFrom(slices.Sorted(maps.Keys(faults))).Draw(t, "fault")
			c.checkFault(t, fault, rapid.IntRange(1, len(steps)).Draw(t, "step"), changed)
		}
	})
}
