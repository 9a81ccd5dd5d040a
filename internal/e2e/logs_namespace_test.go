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

// diskUsage holds the fields in the output of "clusterctl logs --disk-usage --json".
type diskUsage struct {
	Journals []struct {
		Namespace string
		Bytes     uint64
		MaxBytes  uint64 `json:"maxBytes"`
	}
}

// TestLogsNamespace installs an app with a private journal and limits for this journal. clusterctl logs must show the
// private journal, clusterctl flush must empty the journal, and clusterctl uninstall must remove it.
func TestLogsNamespace(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		const conf = "/etc/systemd/journald@clusterctl-own.conf"
		a := installTalker(t, m, "own", 2, "--log-namespace", "--log-max-size", "16M", "--log-max-age", "30d")
		if got := m.Sh(t, "cat "+conf); !strings.Contains(got, "\nSystemMaxUse=16M\n") ||
			!strings.Contains(got, "\nMaxRetentionSec=2592000s\n") {
			t.Errorf("the configuration of the private journal does not contain both limits:\n%s", got)
		}
		f := followLogs(t, m, "own")
		// journald's default limit would drop some of these lines. The unit has a higher limit, which must also apply in
		// a private journal.
		a.tell(t, 1, "seq 1 20000")
		a.tell(t, 2, "echo theirs")
		f.await(t, "20000")
		n := 0
		for _, s := range messages(readLogs(t, m, "own@1", "-n", "all")) {
			if s == fmt.Sprint(n+1) {
				n++
			}
		}
		if n != 20000 {
			t.Errorf("got %d consecutive lines from the journal, want 20000", n)
		}
		if got := m.Sh(t, "journalctl -q CLUSTERCTL_APP=own _TRANSPORT=stdout"); got != "" {
			t.Errorf("lines of the app are in the journal of the machine: %.200s", got)
		}
		// clusterctl logs must also print the messages of systemd about the app, which are in the journal of the machine.
		if r := m.Must(t, "logs", "own", "-n", "all"); !strings.Contains(r.Stdout, "own@2 | systemd: Started ") ||
			!strings.Contains(r.Stdout, "own@2 | theirs\n") {
			t.Errorf("clusterctl logs does not print the line of systemd and the line of the worker:\n%.500s", r.Stdout)
		}
		checkLimit(t, m, a)
		m.Must(t, "flush", "own", "--yes")
		a.tell(t, 2, "echo after")
		f.await(t, "after")
		if got := messages(readLogs(t, m, "own", "-n", "all")); len(got) != 1 || got[0] != "after" {
			t.Errorf("clusterctl logs after the flush: got %.300q, want only \"after\"", got)
		}
		m.Must(t, "uninstall", "own", "--yes")
		wantNoJournal(t, m, "own")
		checkFailedInstall(t, m)
	})
}

// checkLimit lets a worker write more bytes than the journal may hold, and checks that journald removes only the oldest
// lines.
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
			t.Errorf("clusterctl logs --disk-usage: got %+v, want the limit 16 MiB and a size between 1 byte and 20 MiB", j)
		}
	}
	if got := messages(readLogs(t, m, "own@1", "-n", "all")); len(got) == 0 || got[len(got)-1] != "full" || got[0] == "ready 1" {
		t.Errorf("clusterctl logs prints %d lines, want the newest line \"full\" but not the oldest line \"ready 1\"",
			len(got))
	}
}

// checkFailedInstall installs an app whose program fails. The error must show the line in the private journal of the app,
// and clusterctl must remove this journal with the app.
func checkFailedInstall(t *testing.T, m *kit.Machine) {
	t.Helper()
	r := m.Clusterctl(t, "install", "bad", "-i", "1", "--no-listen", "--activation", "native", "--run-as", "root",
		"--sandbox", "off", "--log-namespace",
		"--settle", "10s", "--", "/bin/sh", "-c", "echo this is why; exit 1")
	if r.Code != 3 || !strings.Contains(r.Stderr, "    this is why\n") {
		t.Errorf("install of a program that fails: want exit status 3 and the line \"this is why\": %v", r)
	}
	wantNoJournal(t, m, "bad")
	r = m.Clusterctl(t, "install", "bad", "--log-max-size", "10M", "--no-listen", "--activation", "native", "--", "/bin/true")
	if r.Code != 2 || !strings.Contains(r.Stderr, "add --log-namespace") {
		t.Errorf("--log-max-size without --log-namespace: want exit status 2 and a hint: %v", r)
	}
}

// wantNoJournal fails the test if a file or a unit of an app's private journal exists.
func wantNoJournal(t *testing.T, m *kit.Machine, name string) {
	t.Helper()
	found := m.Sh(t, fmt.Sprintf(`ls -d /etc/systemd/journald@clusterctl-%[1]s* /run/systemd/journal.clusterctl-%[1]s \
	/run/log/journal/*.clusterctl-%[1]s /var/log/journal/*.clusterctl-%[1]s 2>/dev/null || :
systemctl list-units --all --no-legend --plain '*@clusterctl-%[1]s.*'
systemctl list-units --failed --no-legend --plain`, name))
	if found != "" {
		t.Errorf("files or units of the private journal of %s exist, or a unit has failed:\n%s", name, found)
	}
}

// TestUninstallKeepsLogs runs "clusterctl uninstall --keep-logs". The private journal must remain, and a new app with the
// same name must use the same journal.
func TestUninstallKeepsLogs(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := installTalker(t, m, "kept", 1, "--log-namespace")
		a.tell(t, 1, "echo remember")
		a.await(t, "remember")
		r := m.Must(t, "uninstall", "kept", "--yes", "--keep-logs")
		if !strings.Contains(r.Stderr, "journalctl --namespace=clusterctl-kept") {
			t.Errorf("clusterctl uninstall --keep-logs does not print how to read the journal: %v", r)
		}
		if got := m.Sh(t, "journalctl -q --namespace=clusterctl-kept -o cat CLUSTERCTL_APP=kept | tail -1"); got != "remember" {
			t.Errorf("the last line of the kept journal is %q, want \"remember\"", got)
		}
		if units := m.Sh(t, "systemctl list-units --all --no-legend --plain '*clusterctl-kept*'"); units != "" {
			t.Errorf("units of the private journal exist after the uninstall:\n%s", units)
		}
		installTalker(t, m, "kept", 1, "--log-namespace")
		if r := m.Must(t, "logs", "kept", "-n", "all"); !strings.Contains(r.Stdout, "kept@1 | remember\n") {
			t.Errorf("clusterctl logs of the new app does not print the line of the earlier app:\n%s", r.Stdout)
		}
		m.Must(t, "uninstall", "kept", "--yes")
		wantNoJournal(t, m, "kept")
	})
}

// TestLogsNamespaceUpdate changes the limit of a private journal. The limit must apply without a restart of the worker.
// Then the test removes --log-namespace from the app. The private journal must remain, and the worker must log to the
// journal of the machine.
func TestLogsNamespaceUpdate(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := installTalker(t, m, "limits", 1, "--log-namespace", "--log-max-size", "16M")
		reinstall := func(flags ...string) lab.Result {
			return m.Must(t, slices.Concat([]string{"install", "limits", "-i", "1", "--no-listen", "--activation", "native",
				"--run-as", "root", "--sandbox", "off",
				"--settle", "1ms"}, flags, []string{"--", talkerScript, "/run/e2e/" + a.Name})...)
		}
		pid := m.MainPID(t, "limits@1.service")
		reinstall("--log-namespace", "--log-max-size", "32M")
		if got := m.MainPID(t, "limits@1.service"); got != pid {
			t.Errorf("the worker was restarted: the PID was %d, and is %d", pid, got)
		}
		a.tell(t, 1, "echo after")
		a.await(t, "after")
		// journald logs its limit when it starts.
		if got := m.Sh(t, "journalctl -q --namespace=clusterctl-limits -o cat | grep 'max 32.0M' || :"); got == "" {
			t.Errorf("the limit 32.0M is missing in the messages of journald:\n%s",
				m.Sh(t, "journalctl -q --namespace=clusterctl-limits -o cat"))
		}
		if r := reinstall(); !strings.Contains(r.Stderr, "journalctl --namespace=clusterctl-limits") {
			t.Errorf("install without --log-namespace does not print how to read the private journal: %v", r)
		}
		a.awaitReady(t, 1)
		a.tell(t, 1, "echo shared")
		m.AwaitJournal(t, "shared", "CLUSTERCTL_APP=limits")
		if units := m.Sh(t, "systemctl list-units --all --no-legend --plain '*@clusterctl-limits.*'"); units != "" {
			t.Errorf("units of the private journal exist after the update:\n%s", units)
		}
		m.Sh(t, "rm -r /var/log/journal/*.clusterctl-limits")
	})
}

// TestLogsFields runs a Go worker that logs with attributes. clusterctl logs must print the attributes as fields, must
// print a line of 2 MiB completely, and must print a line that the worker writes immediately before it exits.
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
			t.Errorf("the line \"payment failed\": want priority 3 and the fields USER_ID, CARD_REASON and CODE_FILE: %+v",
				got)
		}
		if out := m.Sh(t, "journalctl -q -o cat USER_ID=17 _SYSTEMD_UNIT=fielded@1.service"); out != "payment failed" {
			t.Errorf("journalctl USER_ID=17 prints %q, want \"payment failed\"", out)
		}
		a.tell(t, 1, "big")
		f.readUntil(t, "the big line", func(l logLine) bool { return len(l.Message) == 2<<20+len("the end") && l.Priority == 4 })
		// journald may be unable to read the unit of a process that has exited. Nevertheless, clusterctl logs must print
		// the line as a line of instance 1.
		for range 5 {
			a.tell(t, 1, "die")
			f.await(t, "last words")
			if l := f.seen[len(f.seen)-1]; l.Instance != 1 {
				t.Errorf("the last line of a worker is attributed to instance %d, want 1: %+v", l.Instance, l)
			}
			f.await(t, "ready 1")
		}
		if r := m.Must(t, "logs", "fielded", "--fields", "-n", "all", "--grep", "payment"); !strings.Contains(r.Stdout,
			"payment failed ") || !strings.Contains(r.Stdout, " USER_ID=17 CARD_REASON=\"declined\\nby the bank\"") {
			t.Errorf("clusterctl logs --fields does not print the message and its fields:\n%s", r.Stdout)
		}
	})
}
