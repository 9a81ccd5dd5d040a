package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/manage"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

func TestParseScaling(t *testing.T) {
	for s, want := range map[string]string{
		"4": "4", "1": "1", "1000": "1000", "+2": "5", "-1": "2", "-2": "1", "max": "max", "50%": "50%", "+997": "1000",
		"0": "", "-3": "", "+998": "", "1001": "", "+0": "", "-0": "", "+": "", "-": "", "": "", "all": "", "2.5": "",
		"+50%": "", "four": "", "--1": "", "0%": "",
	} {
		got := ""
		how, err := parseScaling(s)
		if err == nil {
			var c units.Count
			if c, err = how.Count("shop", 3); err == nil {
				got = c.String()
			}
		}
		if got != want || (err == nil) != (want != "") {
			t.Errorf("scaling 3 instances by %q: got %q, error %v, want %q", s, got, err, want)
		}
		if err != nil && exitCode(err) != exitUsage {
			t.Errorf("%q: got exit status %d for %v", s, exitCode(err), err)
		}
	}
}

func TestParseSignal(t *testing.T) {
	for s, want := range map[string]syscall.Signal{
		"HUP": 1, "SIGHUP": 1, "hup": 1, "sighup": 1, "1": 1, "USR2": 12, "KILL": 9, "64": 64, "RTMIN": 34, "RTMIN+3": 37,
		"SIGRTMAX-1": 63, "RTMAX": 64,
		"0": 0, "-1": 0, "65": 0, "": 0, "SIG": 0, "shop": 0, "RTMIN-1": 0, "RTMAX+1": 0, "RTMIN+31": 0, "RTMAX-31": 0,
		"RTMIN+x": 0, "1.5": 0,
	} {
		got, err := parseSignal(s)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: got %d, error %v, want %d", s, got, err, want)
		}
		if err == nil {
			if again, err := parseSignal(signalName(got)); err != nil && got < 34 && !strings.HasPrefix(signalName(got), "signal ") ||
				err == nil && again != got {
				t.Errorf("%q: got the name %q, which parses to %d, %v", s, signalName(got), again, err)
			}
		} else if exitCode(err) != exitUsage {
			t.Errorf("%q: got exit status %d", s, exitCode(err))
		}
	}
	_, err := parseSignal("TREM")
	if hint := (&env{}).hintFor(err); hint != "did you mean TERM?" {
		t.Errorf("TREM: got the hint %q", hint)
	}
}

// TestSkippedInstance checks that a skipped instance is not an error if a pattern matched it, and that it does not hide the
// error of another instance.
func TestSkippedInstance(t *testing.T) {
	skipped, other := &manage.SkippedError{App: "shop", Instance: 9}, errors.New("clients do not reach 8080")
	for _, c := range []struct {
		implied bool
		err     error
		want    []error
	}{
		{true, skipped, nil},
		{true, errors.Join(skipped, nil), nil},
		{true, errors.Join(skipped, other), []error{other}},
		{false, errors.Join(skipped, other), []error{skipped, other}},
	} {
		w := newWorld(t)
		err := w.noteInstance(target{app: units.App{Name: "shop"}, instance: 9, implied: c.implied}, "start", c.err)
		if (err == nil) != (c.want == nil) || errors.Is(err, skipped) != slices.Contains(c.want, error(skipped)) ||
			errors.Is(err, other) != slices.Contains(c.want, other) || w.err.Len() > 0 {
			t.Errorf("implied %v, %v: got error %v, stderr %q", c.implied, c.err, err, w.err.String())
		}
	}
}

func TestByApp(t *testing.T) {
	of := func(names ...string) (out []target) {
		for _, s := range names {
			n, i, err := units.ParseInstance(s)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, target{app: units.App{Name: n}, instance: i})
		}
		return out
	}
	grouped := byApp(of("web@3", "api", "web@1"))
	if len(grouped) != 2 || !cmp.Equal(grouped[0].onlyInstances, []int{3, 1}) || grouped[1].onlyInstances != nil {
		t.Errorf("got %v", grouped)
	}
}

func TestInstancesOf(t *testing.T) {
	for s, want := range map[string][]int{"1 2 3": {1, 2, 3}, " 3 1\t3 ": {1, 3}, "": nil, "0": nil, "1 x": nil, "1001": nil, "-1": nil} {
		got, err := instancesOf(s)
		if !cmp.Equal(got, want) || (err == nil) != (want != nil) {
			t.Errorf("%q: got %v, error %v, want %v", s, got, err, want)
		}
	}
}

func TestSkipReasons(t *testing.T) {
	var rolled []control.Rolled
	for i := range 7 {
		rolled = append(rolled, control.Rolled{Instance: i + 1, Unit: fmt.Sprintf("shop@%d.service", i+1),
			Outcome: control.RollSkipped, Reason: "it is stopped"})
	}
	rolled[0].Outcome = control.RollReloaded
	rolled[6].Reason = "it is masked"
	want := []string{"shop@2, shop@3, shop@4 and 2 more: it is stopped", "shop@7: it is masked"}
	if d := cmp.Diff(want, skipReasons(rolled)); d != "" {
		t.Error(d)
	}
}

// TestUntilSignal checks that the cause of the canceled context is the signal.
func TestUntilSignal(t *testing.T) {
	ctx, stop := untilSignal(t.Context(), syscall.SIGUSR2)
	defer stop()
	if err := syscall.Kill(os.Getpid(), syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	if cause := context.Cause(ctx); cause != (interruption{syscall.SIGUSR2}) || !errors.Is(ctx.Err(), context.Canceled) {
		t.Errorf("got cause %v, error %v", cause, ctx.Err())
	}
}

// TestWithoutHangup checks that SIGHUP does not cancel the context, and that other signals do.
func TestWithoutHangup(t *testing.T) {
	for signal, ends := range map[syscall.Signal]bool{syscall.SIGHUP: false, syscall.SIGINT: true, syscall.SIGTERM: true} {
		parent, cancel := context.WithCancelCause(t.Context())
		ctx := withoutHangup(parent)
		cancel(interruption{signal})
		if ends {
			<-ctx.Done() // if the signal did not cancel the context, the test would time out
			continue
		}
		select {
		case <-ctx.Done():
			t.Errorf("%v: got a canceled context", signal)
		case <-time.After(20 * time.Millisecond): // nothing happens after SIGHUP, so the test has no event to wait for
		}
	}
}

func TestRollExitStatus(t *testing.T) {
	refused := &control.RefusedError{Unit: "shop@1.service", Op: control.Restart, Job: "stop", Err: control.ErrConflict}
	for _, c := range []struct {
		err  error
		code int
		hint string
	}{
		{&fault.NotReached{Err: refused}, exitNotReached, "systemctl list-jobs shows the other job; try again when it has ended"},
		{&fault.NotReached{Err: &control.JobError{Unit: "shop@1.service", Result: control.Canceled}}, exitNotReached, ""},
		{&control.RefusedError{Unit: "shop@1.service", Err: control.ErrPermission}, exitPermission, "sudo clusterctl reload shop"},
		{&fault.NotReached{Err: &control.RefusedError{Unit: "shop@1.service", Err: control.ErrMasked}}, exitNotReached,
			"sudo systemctl unmask shop@1.service"},
		{context.Canceled, exitInterrupted, ""},
	} {
		e := &env{args: []string{"clusterctl", "reload", "shop"}}
		if code, hint := exitCode(c.err), e.hintFor(c.err); code != c.code || hint != c.hint {
			t.Errorf("%v: got %d, %q, want %d, %q", c.err, code, hint, c.code, c.hint)
		}
	}
}

// TestRollJSON compares the output of --json with a fixed text, because programs depend on its names and formats.
func TestRollJSON(t *testing.T) {
	rolled := []control.Rolled{
		{Instance: 1, Unit: "shop@1.service", Outcome: control.RollReloaded, Took: 1500 * time.Millisecond,
			State: control.State{MainPID: 7}},
		{Instance: 2, Unit: "shop@2.service", Outcome: control.RollFailed, Reason: "exited with status 3"},
	}
	err := &fault.NotReached{Err: &control.InstanceError{Unit: "shop@2.service", Instance: 2, Reason: "exited with status 3"},
		Log: []string{"no such module"}}
	var got strings.Builder
	e := &env{stdout: &got}
	if err := e.printJSON(manage.NewAppResult("shop", rolled, 2*time.Second, err)); err != nil {
		t.Fatal(err)
	}
	scaled := manage.ScaleResult{Name: "shop", OK: true, From: 2, To: 4, Count: "4", Changed: true, Running: true,
		TookMs: 9, Instances: []manage.InstanceResult{}}
	if err := e.printJSON(scaled); err != nil {
		t.Fatal(err)
	}
	const want = `{"name":"shop","ok":false,"tookMs":2000,"error":"shop@2.service: ` +
		`exited with status 3","log":["no such module"],"instances":[` +
		`{"unit":"shop@1.service","instance":1,"outcome":"reloaded","tookMs":1500,"pid":7},` +
		`{"unit":"shop@2.service","instance":2,"outcome":"failed","reason":"exitedwithstatus3","tookMs":0}]}` +
		`{"name":"shop","ok":true,"from":2,"to":4,"count":"4","changed":true,"running":true,"tookMs":9,"instances":[]}`
	squeeze := strings.NewReplacer(" ", "", "\n", "")
	if d := cmp.Diff(squeeze.Replace(want), squeeze.Replace(got.String())); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
