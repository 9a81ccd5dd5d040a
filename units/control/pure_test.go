package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

func TestParseVersion(t *testing.T) {
	for in, want := range map[string]int{
		"252.39-1~deb12u1": 252, "247.3-7+deb11u7": 247, "262~rc1-1": 262, "257.9": 257, "v255.4-1": 255, "systemd 239": 239,
		"": 0, "abc": 0, "v": 0, "-1": 0,
	} {
		got, err := parseVersion(in)
		if got != want || (err != nil) != (want == 0) {
			t.Errorf("%q: got %d, error %v, want %d", in, got, err, want)
		}
	}
}

func TestExplain(t *testing.T) {
	exit := func(code, status int) State {
		return State{Load: Loaded, Active: ActiveFailed, Result: "exit-code", ExecMainCode: code, ExecMainStatus: status}
	}
	for want, s := range map[string]State{
		"":                               {Load: Loaded, Active: ActiveRunning, Result: "success"},
		"there is no such unit":          {Load: NotFound, Active: Inactive},
		"it is masked":                   {Load: Masked, Active: Inactive},
		"its unit file cannot be loaded": {Load: BadSetting, Active: Inactive},
		"exited with status 1":           exit(1, 1),
		"exited with status 199":         exit(1, 199),
		"capabilities could not be set (status 218)":                                              exit(1, 218),
		"the sandbox could not be set up (does each path of ReadWritePaths= exist?) (status 226)": exit(1, 226),
		"killed by SIGKILL": {Load: Loaded, Active: ActiveFailed, Result: "signal", ExecMainCode: 2,
			ExecMainStatus: 9},
		"killed by SIGSEGV, core dumped": {Load: Loaded, Active: ActiveFailed, Result: "core-dump",
			ExecMainCode: 3, ExecMainStatus: 11},
		"killed by signal 40": {Load: Loaded, Active: ActiveFailed, Result: "signal", ExecMainCode: 2,
			ExecMainStatus: 40},
		"killed by the OOM killer: out of memory": {Load: Loaded, Active: ActiveFailed, Result: "oom-kill"},
		"no READY=1 within 1m0s (timeout)": {Load: Loaded, Active: ActiveFailed,
			Result: "timeout", Type: "notify", StartTimeout: time.Minute, exitMono: 5},
		"not started (timeout)": {Load: Loaded, Active: ActiveFailed, Result: "timeout", Type: "exec", activeMono: 4, exitMono: 5},
		"did not stop within TimeoutStopSec= and was killed (timeout)": {Load: Loaded, Active: ActiveFailed,
			Result: "timeout", Type: "notify", activeMono: 6, exitMono: 5},
		"exited with status 0": {Load: Loaded, Active: Activating, Sub: "auto-restart", Result: "success", ExecMainCode: 1},
		"killed by SIGTERM": {Load: Loaded, Active: Inactive, Sub: "dead", Result: "success", ExecMainCode: 2,
			ExecMainStatus: 15},
		"skipped: a condition is not met": {Load: Loaded, Active: Inactive, Result: "success",
			ConditionSince: time.Unix(1, 0)},
		"started too often in too short a time; systemd has given up": {Load: Loaded, Active: ActiveFailed, Result: "start-limit-hit"},
	} {
		if got := Explain(s); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

func TestExplainExit(t *testing.T) {
	for _, c := range []struct{ result, exit, want string }{
		{"exit-code", "exited/7", "exited with status 7"},
		{"exit-code", "exited/203", "the program cannot be executed (does it exist, and may the user execute it?) (status 203)"},
		{"success", "exited/0", "exited with status 0"},
		{"signal", "killed/SEGV", "killed by SIGSEGV"},
		{"core-dump", "dumped/ABRT", "killed by SIGABRT, core dumped"},
		{"protocol", "exited/1", "exited with status 1 before READY=1"},
		{"oom-kill", "killed/KILL", "killed by the OOM killer: out of memory"},
		{"timeout", "killed/TERM", "took too long to start or to stop (timeout)"},
		{"exit-code", "", "a command before or after the program failed (ExecStartPre=, ExecStartPost=)"},
		{"unknown", "", ""}, {"unknown", "exited/3", "exited with status 3"}, {"success", "", ""}, {"", "", ""},
	} {
		if got := ExplainExit(c.result, c.exit); got != c.want {
			t.Errorf("%s, %s: got %q, want %q", c.result, c.exit, got, c.want)
		}
	}
}

// TestApply checks that apply stores each property in its field.
func TestApply(t *testing.T) {
	var s State
	s.apply(map[string]dbus.Variant{
		"Environment":        dbus.MakeVariant([]string{"A=1", "B=x y"}),
		"EnvironmentFiles":   dbus.MakeVariant([][]any{{"/etc/a", true}, {"/etc/b", false}, {"odd"}}),
		"UnitFileState":      dbus.MakeVariant("enabled"),
		"RestartUSec":        dbus.MakeVariant(uint64(2_500_000)),
		"TimeoutStartUSec":   dbus.MakeVariant(infinity),
		"MemoryMax":          dbus.MakeVariant(uint64(1 << 30)),
		"MemoryHigh":         dbus.MakeVariant(infinity),
		"TasksMax":           dbus.MakeVariant(uint64(100)),
		"CPUQuotaPerSecUSec": dbus.MakeVariant(uint64(1_500_000)),
	})
	want := State{
		Environment: []string{"A=1", "B=x y"}, EnvFiles: []EnvFile{{"/etc/a", true}, {"/etc/b", false}}, FileState: "enabled",
		RestartDelay: 2500 * time.Millisecond, Limits: Limits{MemoryMax: 1 << 30, TasksMax: 100, CPUQuota: 1500 * time.Millisecond},
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
}

// TestExitStatusesHaveMeanings checks that every exit status of systemd has an explanation, and that all explanations
// differ. systemd.exec(5) does not use 223, 234 and 244.
func TestExitStatusesHaveMeanings(t *testing.T) {
	seen := make(map[string]int)
	for status := 200; status <= 245; status++ {
		why, ok := exitMeaning[status]
		if unused := status == 223 || status == 234 || status == 244; ok == unused {
			t.Errorf("status %d: got the explanation %q", status, why)
		}
		if ok && seen[why] != 0 {
			t.Errorf("the statuses %d and %d have the same explanation", status, seen[why])
		}
		seen[why] = status
	}
}

func TestInferResult(t *testing.T) {
	const before, queued, after = 1, 2, 3
	for _, c := range []struct {
		op   Op
		s    State
		want Result
	}{
		{Start, State{Active: ActiveRunning, activeMono: before}, Done},
		{Start, State{Active: ActiveFailed}, Failed},
		{Start, State{Active: Activating, Sub: "auto-restart"}, Failed},
		{Start, State{Active: Inactive}, Canceled},
		{Start, State{Active: Inactive, ConditionSince: time.Unix(1, 0)}, Done},
		{Restart, State{Active: ActiveRunning, activeMono: after}, Done},
		{Restart, State{Active: ActiveRunning, activeMono: before}, Canceled},
		{TryRestart, State{Active: Inactive}, Done},
		{Stop, State{Active: Inactive}, Done},
		{Stop, State{Active: ActiveFailed}, Done},
		{Stop, State{Active: ActiveRunning}, Canceled},
		{Reload, State{Active: ActiveRunning}, Done},
		{Reload, State{Active: Inactive}, Failed},
	} {
		if got := inferResult(c.op, c.s, queued); got != c.want {
			t.Errorf("%v, %+v: got %v, want %v", c.op, c.s, got, c.want)
		}
	}
}

func TestErrors(t *testing.T) {
	answer := func(name, text string) error { return dbus.Error{Name: name, Body: []any{text}} }
	for _, c := range []struct {
		in   error
		kind error
		text string
	}{
		{answer("org.freedesktop.DBus.Error.AccessDenied", "Permission denied"), ErrPermission, "permission denied"},
		{answer("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", "Interactive authentication required."),
			ErrPermission, "interactive authentication required"},
		{answer("org.freedesktop.systemd1.NoSuchUnit", "Unit a.service not found."), ErrNotFound, "unit a.service not found"},
		{dbus.Error{Name: "org.freedesktop.systemd1.UnitMasked"}, ErrMasked, "unit is masked"},
		{answer("org.example.Other", "a.service is odd"), nil, "a.service is odd"},
		{fmt.Errorf("reading: %w", io.EOF), ErrLost, "connection to systemd lost: reading: EOF"},
		{context.Canceled, context.Canceled, "context canceled"},
		{fmt.Errorf("%w: %w", ErrLost, &net.OpError{Op: "dial", Err: io.EOF}), ErrLost, "connection to systemd lost: dial: EOF"},
	} {
		got := translate(c.in)
		if got.Error() != c.text || c.kind != nil && !errors.Is(got, c.kind) {
			t.Errorf("translate(%v): got %v, want %s", c.in, got, c.text)
		}
		if strings.Contains(got.Error(), "org.freedesktop") {
			t.Errorf("the error contains a name of D-Bus: %v", got)
		}
	}
}
