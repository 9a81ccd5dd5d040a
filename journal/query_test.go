package journal

import (
	"slices"
	"strings"
	"testing"
)

func TestArguments(t *testing.T) {
	instance := Scope{App: "a-b", Instance: 3, Instances: 4, Slice: `clusterctl-a\x2db.slice`, Units: []string{"a-b.service"},
		Namespace: "clusterctl-a-b"}
	const fixed = "--output=export --quiet --no-pager"
	const shopSlice = "_SYSTEMD_SLICE=clusterctl-shop.slice"
	const extra = "CLUSTERCTL_APP=shop _TRANSPORT=stdout + CLUSTERCTL_APP=shop CLUSTERCTL_SENDER=worker _UID=1000"
	const suppressed = "+ _TRANSPORT=driver OBJECT_SYSTEMD_SLICE=clusterctl-shop.slice"
	for name, c := range map[string]struct {
		query Query
		part  part
		want  string
	}{
		"the last lines": {
			Query{Scopes: []Scope{shop()}, System: true}, part{lines: 15},
			fixed + " FIELDS --lines=15 " + shopSlice + " + " + extra +
				" + _PID=1 UNIT=shop.service UNIT=shop.socket UNIT=shop@1.service UNIT=shop@2.service + _PID=1 CLUSTERCTL_APP=shop " +
				suppressed,
		},
		"only workers": {
			Query{Scopes: []Scope{shop()}, AllFields: true}, part{lines: AllLines},
			fixed + " " + shopSlice + " + " + extra + " " + suppressed,
		},
		"one instance with its own journal": {
			Query{Scopes: []Scope{instance}, System: true, AllFields: true}, part{lines: 0},
			fixed + " --namespace=+clusterctl-a-b --lines=0 _SYSTEMD_UNIT=a-b@3.service + CLUSTERCTL_APP=a-b " +
				"CLUSTERCTL_INSTANCE=3 _TRANSPORT=stdout" +
				" + _PID=1 UNIT=a-b@3.service + _TRANSPORT=driver OBJECT_SYSTEMD_UNIT=a-b@3.service",
		},
		"a time, a pattern, a boot, priorities": {
			Query{Scopes: []Scope{shop()}, AllFields: true, Since: "-10m", Until: "now", Boot: "-1", Grep: "a|b",
				Priorities: []int{3, 4}}, part{lines: AllLines},
			fixed + ` --until=now --boot=-1 --since=-10m --grep=(?:a|b)|^.uppressed \d+ messages from  ` + shopSlice +
				" PRIORITY=3 PRIORITY=4 + CLUSTERCTL_APP=shop _TRANSPORT=stdout PRIORITY=3 PRIORITY=4 + " +
				"CLUSTERCTL_APP=shop CLUSTERCTL_SENDER=worker _UID=1000 PRIORITY=3 PRIORITY=4 " + suppressed,
		},
		"following": {
			Query{Scopes: []Scope{shop()}, AllFields: true, System: true, Since: "-10m", Boot: "0"},
			part{lines: AllLines, follow: true, cursor: "s=1", directory: "/tmp/x"},
			fixed + " --directory=/tmp/x --follow --no-tail --cursor=s=1 " + shopSlice + " + " + extra +
				" + _PID=1 _TRANSPORT=journal " + suppressed,
		},
	} {
		got := strings.Replace(strings.Join(c.query.arguments(c.part), " "), "--output-fields="+neededFields, "FIELDS", 1)
		if got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
	}
	two := Query{Scopes: []Scope{instance, shop(), {App: "c", Namespace: "clusterctl-c"}}}
	if got := two.namespaces(); !slices.Equal(got, []string{"--namespace=*"}) {
		t.Errorf("got %q, want --namespace=*", got)
	}
	if got := two.namespaceNames(); !slices.Equal(got, []string{"", "clusterctl-a-b", "clusterctl-c"}) {
		t.Errorf("got the namespaces %q", got)
	}
}

// TestSorter checks that the sorter finds the app of an entry by fields of journald, and by fields of the
// sender only if the fields of journald are missing.
func TestSorter(t *testing.T) {
	both := []Scope{shop(), {App: "api", Instance: 2, Instances: 3, Slice: "clusterctl-api.slice", Units: []string{"api.service"}}}
	for name, c := range map[string]struct {
		entry Entry
		want  string // "" if the entry does not belong to an app
	}{
		"a worker":            {worker(1, "1", "x"), "shop@1 worker"},
		"a new instance":      {worker(1, "7", "x"), "shop@7 worker"},
		"another instance":    {entry("_SYSTEMD_UNIT", "api@3.service", "_SYSTEMD_SLICE", "clusterctl-api.slice"), ""},
		"the instance":        {entry("_SYSTEMD_UNIT", "api@2.service", "_SYSTEMD_SLICE", "clusterctl-api.slice"), "api@2 worker"},
		"an invalid instance": {entry("_SYSTEMD_UNIT", "shop@x.service"), ""},
		"another unit in the slice": {
			entry("_SYSTEMD_UNIT", "cron.service", "_SYSTEMD_SLICE", "clusterctl-shop.slice"), "shop worker"},
		"systemd": {entry("_PID", "1", "UNIT", "shop@2.service", "_SYSTEMD_UNIT", "init.scope"), "shop@2 systemd"},
		"systemd, before the exec": {entry("_PID", "99", "_UID", "0", "_EXE", "/usr/lib/systemd/systemd-executor",
			"UNIT", "shop@2.service", "_SYSTEMD_UNIT", "shop@2.service"), "shop@2 systemd"},
		"systemd about another unit": {entry("_PID", "1", "UNIT", "ssh.service", "_SYSTEMD_UNIT", "init.scope"), ""},
		"systemd's program, run by the worker": {entry("_PID", "99", "_UID", "1000", "_EXE", "/usr/lib/systemd/systemd-executor",
			"UNIT", "shop@2.service", "_SYSTEMD_UNIT", "shop@2.service"), "shop@2 worker"},
		"a path that ends like systemd's": {entry("_PID", "77", "_UID", "0", "_EXE", "/tmp/x/systemd/systemd",
			"UNIT", "shop@2.service", "_SYSTEMD_UNIT", "session-1.scope"), ""},
		"systemd's program, run by a user": {entry("_PID", "77", "_UID", "65534", "_EXE", "/usr/lib/systemd/systemd",
			"UNIT", "shop@2.service", "_SYSTEMD_UNIT", "session-1.scope"), ""},
		"a process that imitates systemd": {entry("_PID", "77", "_EXE", "/tmp/evil", "UNIT", "shop@2.service",
			"_SYSTEMD_UNIT", "session-1.scope"), ""},
		"a worker with a UNIT": {entry("_PID", "77", "UNIT", "x", "_SYSTEMD_UNIT", "shop@2.service"), "shop@2 worker"},
		"a process that imitates the app": {entry("CLUSTERCTL_APP", "shop", "CLUSTERCTL_INSTANCE", "1",
			"_SYSTEMD_UNIT", "session-1.scope"), ""},
		"a process that has ended": {entry("CLUSTERCTL_APP", "shop", "CLUSTERCTL_INSTANCE", "1",
			"CLUSTERCTL_SENDER", "worker", "_UID", "1000"), "shop@1 worker"},
		"a process of another user": {entry("CLUSTERCTL_APP", "shop", "CLUSTERCTL_INSTANCE", "1",
			"CLUSTERCTL_SENDER", "worker", "_UID", "65534"), ""},
		"an app whose user is unknown": {entry("CLUSTERCTL_APP", "api", "CLUSTERCTL_INSTANCE", "2",
			"CLUSTERCTL_SENDER", "worker", "_UID", ""), ""},
		"a process without our handler": {entry("CLUSTERCTL_APP", "shop", "CLUSTERCTL_INSTANCE", "1", "_UID", "1000"), ""},
		"stdout of a process that has ended": {entry("CLUSTERCTL_APP", "shop", "CLUSTERCTL_INSTANCE", "1",
			"_TRANSPORT", "stdout", "_UID", "1000"), "shop@1 worker"},
		"stdout of another instance": {entry("CLUSTERCTL_APP", "api", "CLUSTERCTL_INSTANCE", "1", "_TRANSPORT", "stdout"), ""},
		"a process that imitates journald": {entry("_TRANSPORT", "journal", "MESSAGE_ID", suppressedID,
			"OBJECT_SYSTEMD_UNIT", "shop@1.service", "N_DROPPED", "5"), ""},
		"journald": {entry("_TRANSPORT", "driver", "MESSAGE_ID", suppressedID,
			"OBJECT_SYSTEMD_UNIT", "shop@1.service", "N_DROPPED", "5"), "shop@1 journald"},
		"journald about another unit": {entry("_TRANSPORT", "driver", "MESSAGE_ID", suppressedID, "OBJECT_SYSTEMD_UNIT", "x.service",
			"N_DROPPED", "5"), ""},
		"an entry without a unit": {entry("MESSAGE", "x"), ""},
	} {
		s := newSorter(both)
		for range 2 { // the second result is cached
			got := ""
			if l, ok := s.line(&c.entry, true); ok {
				got = l.Label() + " " + l.Source.String()
			}
			if got != c.want {
				t.Errorf("%s: got %q, want %q", name, got, c.want)
			}
		}
	}
	e := entry("_PID", "1", "UNIT", "shop@2.service")
	if _, ok := newSorter(both).line(&e, false); ok {
		t.Error("without System, line returned a message of systemd")
	}
}

func TestParsePriority(t *testing.T) {
	for s, want := range map[string][]int{
		"err": {0, 1, 2, 3}, "error": {0, 1, 2, 3}, "4": {0, 1, 2, 3, 4}, "warn": {0, 1, 2, 3, 4}, "err..warning": {3, 4},
		"7..6": {6, 7}, "emerg": {0},
	} {
		got, err := ParsePriority(s)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %v, error %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "8", "loud", "err..", "..err", "err..loud"} {
		if got, err := ParsePriority(s); err == nil {
			t.Errorf("ParsePriority(%q) returned %v and no error", s, got)
		}
	}
}
