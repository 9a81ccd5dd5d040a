//go:build lab

package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// diskUsage is an object in the output of logs --disk-usage --json.
type diskUsage struct {
	Journals []struct {
		Namespace string
		Bytes     uint64
		MaxBytes  uint64 `json:"maxBytes"`
	}
}

// TestLogsNamespace gives an app a private journal with limits. logs shows that journal, flush empties it, and uninstall
// removes it.
func TestLogsNamespace(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		const conf = "/etc/systemd/journald@clusterctl-own.conf"
		a := installTalker(t, m, "own", 2, "--log-namespace", "--log-max-size", "16M", "--log-max-age", "30d")
		if got := m.Sh(t, "cat "+conf); !strings.Contains(got, "\nSystemMaxUse=16M\n") ||
			!strings.Contains(got, "\nMaxRetentionSec=2592000s\n") {
			t.Errorf("the configuration of the private journal: %s", got)
		}
		f := followLogs(t, m, "own")
		// This burst is far above the default limit of journald. The limit of the unit must hold in a private journal, too.
		a.tell(t, 1, "seq 1 20000")
		a.tell(t, 2, "echo theirs")
		f.await(t, "20000")
		n := 0
		for _, s := range messages(logs(t, m, "own@1", "-n", "all")) {
			if s == fmt.Sprint(n+1) {
				n++
			}
		}
		if n != 20000 {
			t.Errorf("%d of 20000 lines are in the journal", n)
		}
		if got := m.Sh(t, "journalctl -q CLUSTERCTL_APP=own _TRANSPORT=stdout"); got != "" {
			t.Errorf("lines are in the journal of the machine: %.200s", got)
		}
		// The messages of systemd itself are in the journal of the machine.
		if r := m.Must(t, "logs", "own", "-n", "all"); !strings.Contains(r.Stdout, "own@2 | systemd: Started ") ||
			!strings.Contains(r.Stdout, "own@2 | theirs\n") {
			t.Errorf("%.500s", r.Stdout)
		}
		checkLimit(t, m, a)
		m.Must(t, "flush", "own", "--yes")
		a.tell(t, 2, "echo after")
		f.await(t, "after")
		if got := messages(logs(t, m, "own", "-n", "all")); len(got) != 1 || got[0] != "after" {
			t.Errorf("after the flush: %.300q", got)
		}
		m.Must(t, "uninstall", "own", "--yes")
		wantNoJournal(t, m, "own")
		checkFailedInstall(t, m)
	})
}

// checkLimit writes more than the journal may hold, and checks that only the oldest lines are removed.
func checkLimit(t *testing.T, m *kit.Machine, a talker) {
	t.Helper()
	a.tell(t, 1, `head -c 16000000 /dev/urandom | od -An -v -tx1 -w3000; echo full`)
	a.await(t, "full")
	var u diskUsage
	if err := json.Unmarshal([]byte(m.Must(t, "logs", "own", "--disk-usage", "--json").Stdout), &u); err != nil {
		t.Fatal(err)
	}
	for _, j := range u.Journals {
		if j.Namespace == "clusterctl-own" && (j.MaxBytes != 16<<20 || j.Bytes > j.MaxBytes*5/4 || j.Bytes == 0) {
			t.Errorf("%+v", j)
		}
	}
	if got := messages(logs(t, m, "own@1", "-n", "all")); len(got) == 0 || got[len(got)-1] != "full" || got[0] == "ready 1" {
		t.Errorf("lines other than the oldest were removed: %d lines are left", len(got))
	}
}

// checkFailedInstall installs an app that fails. The error must show its private journal, which must be removed with the
// app.
func checkFailedInstall(t *testing.T, m *kit.Machine) {
	t.Helper()
	r := m.Clusterctl(t, "install", "bad", "-i", "1", "--no-listen", "--activation", "native", "--run-as", "root",
		"--sandbox", "off", "--log-namespace",
		"--settle", "10s", "--", "/bin/sh", "-c", "echo this is why; exit 1")
	if r.Code != 3 || !strings.Contains(r.Stderr, "    this is why\n") {
		t.Errorf("%v", r)
	}
	wantNoJournal(t, m, "bad")
	r = m.Clusterctl(t, "install", "bad", "--log-max-size", "10M", "--no-listen", "--activation", "native", "--", "/bin/true")
	if r.Code != 2 || !strings.Contains(r.Stderr, "add --log-namespace") {
		t.Errorf("%v", r)
	}
}

// wantNoJournal fails the test when anything of an app's private journal is left, on disk or in systemd.
func wantNoJournal(t *testing.T, m *kit.Machine, name string) {
	t.Helper()
	left := m.Sh(t, fmt.Sprintf(`ls -d /etc/systemd/journald@clusterctl-%[1]s* /run/systemd/journal.clusterctl-%[1]s \
	/run/log/journal/*.clusterctl-%[1]s /var/log/journal/*.clusterctl-%[1]s 2>/dev/null || :
systemctl list-units --all --no-legend --plain '*@clusterctl-%[1]s.*'
systemctl list-units --failed --no-legend --plain`, name))
	if left != "" {
		t.Errorf("files of the journal of %s are left:\n%s", name, left)
	}
}

// TestUninstallKeepsLogs: an uninstall can keep the journal, and the next app that is installed with the name continues it.
func TestUninstallKeepsLogs(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := installTalker(t, m, "kept", 1, "--log-namespace")
		a.tell(t, 1, "echo remember")
		a.await(t, "remember")
		r := m.Must(t, "uninstall", "kept", "--yes", "--keep-logs")
		if !strings.Contains(r.Stderr, "journalctl --namespace=clusterctl-kept") {
			t.Errorf("%v", r)
		}
		if got := m.Sh(t, "journalctl -q --namespace=clusterctl-kept -o cat CLUSTERCTL_APP=kept | tail -1"); got != "remember" {
			t.Errorf("%q", got)
		}
		if units := m.Sh(t, "systemctl list-units --all --no-legend --plain '*clusterctl-kept*'"); units != "" {
			t.Errorf("%s", units)
		}
		installTalker(t, m, "kept", 1, "--log-namespace")
		if r := m.Must(t, "logs", "kept", "-n", "all"); !strings.Contains(r.Stdout, "kept@1 | remember\n") {
			t.Errorf("%s", r.Stdout)
		}
		m.Must(t, "uninstall", "kept", "--yes")
		wantNoJournal(t, m, "kept")
	})
}

// TestLogsNamespaceUpdate: a changed limit applies without a restart of a worker. When an app goes back to the journal of
// the machine, its private journal can still be read.
func TestLogsNamespaceUpdate(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := installTalker(t, m, "limits", 1, "--log-namespace", "--log-max-size", "16M")
		again := func(flags ...string) lab.Result {
			return m.Must(t, slices.Concat([]string{"install", "limits", "-i", "1", "--no-listen", "--activation", "native",
				"--run-as", "root", "--sandbox", "off",
				"--settle", "1ms"}, flags, []string{"--", talkerScript, "/run/e2e/" + a.Name})...)
		}
		pid := m.MainPID(t, "limits@1.service")
		again("--log-namespace", "--log-max-size", "32M")
		if got := m.MainPID(t, "limits@1.service"); got != pid {
			t.Errorf("the worker was restarted: %d, then %d", pid, got)
		}
		a.tell(t, 1, "echo after")
		a.await(t, "after")
		// journald logs its limit when it starts.
		if got := m.Sh(t, "journalctl -q --namespace=clusterctl-limits -o cat | grep 'max 32.0M' || :"); got == "" {
			t.Errorf("journald has not read the limit:\n%s", m.Sh(t, "journalctl -q --namespace=clusterctl-limits -o cat"))
		}
		if r := again(); !strings.Contains(r.Stderr, "journalctl --namespace=clusterctl-limits") {
			t.Errorf("%v", r)
		}
		a.awaitReady(t, 1)
		a.tell(t, 1, "echo shared")
		m.AwaitJournal(t, "shared", "CLUSTERCTL_APP=limits")
		if units := m.Sh(t, "systemctl list-units --all --no-legend --plain '*@clusterctl-limits.*'"); units != "" {
			t.Errorf("%s", units)
		}
		m.Sh(t, "rm -r /var/log/journal/*.clusterctl-limits")
	})
}

// TestLogsFields: lines that a Go worker logs with attributes can be found by field. Large lines are complete, and a line
// is not lost when the worker exits at once.
func TestLogsFields(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		m.CopyIn(t, lab.Build(t, "./internal/e2e/logger"), logger)
		a := installTalkerProgram(t, m, logger, "fielded", 1)
		f := followLogs(t, m, "fielded", "--fields")
		a.tell(t, 1, "fields")
		f.await(t, "payment failed")
		got := f.seen[len(f.seen)-1]
		if got.Priority != 3 || fmt.Sprint(got.Fields["USER_ID"], got.Fields["CARD_REASON"]) != "[17] [declined\nby the bank]" ||
			!strings.HasSuffix(got.Fields["CODE_FILE"][0], "main.go") {
			t.Errorf("%+v", got)
		}
		if out := m.Sh(t, "journalctl -q -o cat USER_ID=17 _SYSTEMD_UNIT=fielded@1.service"); out != "payment failed" {
			t.Errorf("%q", out)
		}
		a.tell(t, 1, "big")
		f.until(t, "the big line", func(l logLine) bool { return len(l.Message) == 2<<20+len("the end") && l.Priority == 4 })
		// The worker exits right after its line, so journald may be unable to find out who wrote it.
		for range 5 {
			a.tell(t, 1, "die")
			f.await(t, "last words")
			if l := f.seen[len(f.seen)-1]; l.Instance != 1 {
				t.Errorf("%+v", l)
			}
			f.await(t, "ready 1")
		}
		if r := m.Must(t, "logs", "fielded", "--fields", "-n", "all", "--grep", "payment"); !strings.Contains(r.Stdout,
			"payment failed ") || !strings.Contains(r.Stdout, " USER_ID=17 CARD_REASON=\"declined\\nby the bank\"") {
			t.Errorf("%s", r.Stdout)
		}
	})
}
