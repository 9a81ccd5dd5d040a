//go:build lab

package e2e

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestLogsBurst lets two instances write 100,000 lines each without a pause. clusterctl logs must print all lines of each
// instance in order.
func TestLogsBurst(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		const each = 100_000
		a := installTalker(t, m, "burst", 2)
		for i := 1; i <= 2; i++ {
			a.tell(t, i, fmt.Sprintf(`seq -f "$INSTANCE %%.0f" 1 %d; echo "<5>end $INSTANCE"`, each))
		}
		// PRIORITY=5 matches only the last line of each instance, so that journalctl does not print all other lines. On a
		// busy machine, journald may need minutes to store all lines.
		for _, end := range []string{"end 1", "end 2"} {
			m.AwaitJournalFor(t, 15*time.Minute, end, "CLUSTERCTL_APP=burst", "PRIORITY=5")
		}
		r := m.Must(t, "logs", "burst", "--no-follow", "--raw", "-n", "300000")
		var next [3]int
		var twice []string
		for line := range strings.Lines(r.Stdout) {
			who, number, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			i, err := strconv.Atoi(who)
			n, err2 := strconv.Atoi(number)
			if !ok || err != nil || err2 != nil {
				continue // "ready 1", "end 1"
			}
			if n == next[i] {
				twice = append(twice, strings.TrimSuffix(line, "\n"))
				continue
			}
			if next[i]++; n != next[i] {
				t.Fatalf("instance %d: got line %d, want line %d", i, n, next[i])
			}
		}
		if next[1] != each || next[2] != each {
			t.Errorf("got %d and %d lines of the instances, want %d lines of each", next[1], next[2], each)
		}
		if r.Stderr != "" {
			t.Errorf("stderr is %q, want no output", r.Stderr)
		}
		if len(twice) > 0 {
			// journalctl may print a line twice: with systemd 247 this happened to one of 200,000 lines. clusterctl logs
			// may then print this line twice, too.
			slices.Sort(twice)
			t.Logf("logs prints these lines twice: %q", twice)
			if got := kit.Lines(m.Sh(t, "journalctl -q -o cat _TRANSPORT=stdout CLUSTERCTL_APP=burst | LC_ALL=C sort | "+
				"uniq -d")); !slices.Equal(got, twice) {
				t.Errorf("clusterctl logs prints the lines %q twice, want only the lines %q, which journalctl prints twice",
					twice, got)
			}
		}
		// -n 7 selects the last 7 lines of both instances together.
		if got := readLogs(t, m, "burst", "-n", "7", "--no-follow", "--no-system"); len(got) != 7 {
			t.Errorf("clusterctl logs -n 7 prints %d lines, want 7", len(got))
		}
	})
}

// TestLogsSuppressed sets a low limit for log lines, so that journald drops lines. clusterctl logs must print the number
// of dropped lines at the position of the dropped lines. The workers number their lines, so that the test can count the
// dropped lines.
func TestLogsSuppressed(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		a := installTalker(t, m, "tight", 2)
		// The interval is 10 s, because journald must read a whole burst within one interval, also on a busy machine.
		m.Sh(t, `mkdir -p /etc/systemd/system/tight@.service.d
printf '[Service]\nLogRateLimitIntervalSec=10s\nLogRateLimitBurst=100\n' > /etc/systemd/system/tight@.service.d/limit.conf
systemctl daemon-reload; systemctl restart tight@1 tight@2`)
		t.Cleanup(func() { m.Sh(t, "rm -r /etc/systemd/system/tight@.service.d; systemctl daemon-reload") })
		// Wait until both instances have logged a line, because no unit may log its first line after a burst has begun.
		// When the first line of a unit arrives, journald deletes the counters of dropped lines of all other units whose
		// interval is over (journal_ratelimit_vacuum() in src/journal/journald-rate-limit.c).
		for i := 1; i <= 2; i++ {
			a.awaitReady(t, i)
		}
		const each = 5000
		for i := 1; i <= 2; i++ {
			// The line after the pause begins a new interval, and journald writes the number of dropped lines before this
			// line. The pause is longer than the interval, because journald may read the lines of the burst late.
			a.tell(t, i, fmt.Sprintf(`seq -f "%%.0f" 1 %d; sleep 15; echo %d; echo end $INSTANCE`, each, each+1))
		}
		a.await(t, "end 1")
		a.await(t, "end 2")
		var last, kept, missing [3]int
		var reports [3][]string
		for _, l := range readLogs(t, m, "tight", "-n", "all", "--no-system") {
			n, err := strconv.Atoi(l.Message)
			switch {
			case l.Source == "journald":
				missing[l.Instance] += l.Suppressed
				reports[l.Instance] = append(reports[l.Instance],
					fmt.Sprintf("tight@%d: %d lines are missing here", l.Instance, l.Suppressed))
			case err == nil:
				if n != kept[l.Instance]+missing[l.Instance]+1 {
					t.Fatalf("instance %d: line %d follows line %d, but the reports count %d missing lines", l.Instance, n,
						last[l.Instance], missing[l.Instance])
				}
				kept[l.Instance]++
				last[l.Instance] = n
			}
		}
		for i := 1; i <= 2; i++ {
			if missing[i] == 0 || kept[i]+missing[i] != each+1 {
				t.Errorf("instance %d: clusterctl logs prints %d lines and reports %d missing, want a sum of %d and at least 1 missing",
					i, kept[i], missing[i], each+1)
			}
		}
		if r := m.Must(t, "logs", "tight", "-n", "all", "--no-follow"); !strings.Contains(r.Stderr,
			"hint: tight has reached its limit") || !strings.Contains(r.Stderr, "--log-namespace") {
			t.Errorf("clusterctl logs does not print the hint --log-namespace: %s", r.Stderr)
		}
		if r := m.Must(t, "show", "tight"); !strings.Contains(r.Stdout, "--log-namespace") {
			t.Errorf("clusterctl show does not print --log-namespace: %s", r.Stdout)
		}
		// With --raw, clusterctl logs must report the missing lines on stderr, because stdout contains only lines of the
		// app.
		raw := m.Must(t, "logs", "tight@2", "-n", "all", "--raw", "--no-follow")
		for _, want := range reports[2] {
			if !strings.Contains(raw.Stderr, want) || strings.Contains(raw.Stdout, "missing") {
				t.Errorf("clusterctl logs --raw: want %q on stderr and not on stdout: %v", want, raw)
			}
		}
	})
}

// TestLogsFollow runs "clusterctl logs --follow" while the journal is rotated, journald is restarted, journalctl is
// killed and a new instance is started. clusterctl logs must print every line once, including the lines of the new
// instance.
func TestLogsFollow(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		a := installTalker(t, m, "follow", 2)
		f := followLogs(t, m, "follow")
		f.await(t, "ready 2")
		n := 0
		writeLines := func(count int) {
			t.Helper()
			a.tell(t, 1, fmt.Sprintf("seq %d %d", n+1, n+count))
			n += count
			f.await(t, strconv.Itoa(n))
		}
		writeLines(500)
		m.Sh(t, "journalctl --rotate")
		writeLines(500)
		m.Sh(t, "systemctl restart systemd-journald")
		writeLines(500)
		m.Sh(t, "pkill -KILL -x journalctl -P $(pgrep -f '^/usr/bin/clusterctl logs --json --follow -n all follow')")
		writeLines(500)
		m.Sh(t, "systemctl start follow@3")
		t.Cleanup(func() { m.Sh(t, "systemctl stop follow@3") })
		f.await(t, "ready 3")
		// The line of systemd may precede or follow the line of the worker.
		started := func(l logLine) bool {
			return l.Source == "systemd" && l.Instance == 3 && strings.HasPrefix(l.Message, "Started")
		}
		if !slices.ContainsFunc(f.seen, started) {
			f.readUntil(t, "Started follow@3", started)
		}
		writeLines(1)
		var numbers []int
		cursors := map[string]bool{}
		for _, l := range f.seen {
			if cursors[l.Cursor] {
				t.Errorf("clusterctl logs printed this line twice: %v", l)
			}
			cursors[l.Cursor] = true
			if k, err := strconv.Atoi(l.Message); err == nil && l.Source == "worker" {
				numbers = append(numbers, k)
			}
		}
		for i, k := range numbers {
			if k != i+1 {
				t.Fatalf("got line %d, want line %d", k, i+1)
			}
		}
		if len(numbers) != n {
			t.Errorf("clusterctl logs printed %d of %d lines", len(numbers), n)
		}
	})
}

// TestLogsEscapeControlCharacters checks that clusterctl logs escapes control characters in lines of a worker. With
// --raw, clusterctl logs must print the bytes that the worker has written, except a carriage return at the end of a line,
// because journald removes trailing whitespace.
func TestLogsEscapeControlCharacters(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := installTalker(t, m, "bytes", 1)
		a.tell(t, 1, `printf '\033[2J\033]0;title\007\033[31mred\033[0m \377\376 tab\there\r\n'`)
		a.tell(t, 1, `printf 'a\000b\n'`)
		a.tell(t, 1, `head -c 1000000 /dev/zero | tr '\000' x; echo; echo end`)
		a.await(t, "end")
		long := strings.Repeat("x", 1_000_000)
		want := "ready 1\n\x1b[2J\x1b]0;title\a\x1b[31mred\x1b[0m \xff\xfe tab\there\na\x00b\n" + long + "\nend\n"
		if got := m.Must(t, "logs", "bytes", "--raw", "-n", "all").Stdout; got != want {
			t.Errorf("clusterctl logs --raw prints %d bytes, want %d: got %.200q, want %.200q",
				len(got), len(want), got, want)
		}
		want = "bytes@1 | ready 1\nbytes@1 | \\x1b[2J\\x1b]0;title\\x07red \\xff\\xfe tab\there\nbytes@1 | a\nbytes@1 | b\nbytes@1 | " +
			long + "\nbytes@1 | end\n"
		if got := m.Must(t, "logs", "bytes", "--no-system", "-n", "all").Stdout; got != want {
			t.Errorf("clusterctl logs prints %d bytes, want %d: got %.200q, want %.200q", len(got), len(want), got, want)
		}
		for _, l := range readLogs(t, m, "bytes", "-n", "all") {
			if l.Base64 != nil && !bytes.Contains(l.Base64, []byte("\xff\xfe")) {
				t.Errorf("messageBase64 is %q, want the bytes \\xff\\xfe in it", l.Base64)
			}
		}
	})
}

// TestLogsSelection selects lines of two apps by app, instance, number, priority, pattern and time.
func TestLogsSelection(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a, b := installTalker(t, m, "one", 2), installTalker(t, m, "two", 1)
		a.tell(t, 1, `echo "<3>alpha failed"; echo "<4>careful"; echo beta`)
		a.await(t, "beta")
		b.tell(t, 1, `echo gamma`)
		b.await(t, "gamma")
		m.Sh(t, "sleep 1.1") // --since and --until have a resolution of seconds
		a.tell(t, 2, `echo "<7>Delta"`)
		a.await(t, "Delta")
		second := readLogs(t, m, "one@2", "-n", "1", "--no-system")[0].Time
		all := []string{"ready", "ready", "ready", "alpha failed", "careful", "beta", "gamma", "Delta"}
		for _, c := range []struct {
			args, want []string
		}{
			{[]string{"-n", "all", "--no-system"}, all},
			{[]string{"one", "two", "-n", "3", "--no-system"}, []string{"beta", "gamma", "Delta"}},
			{[]string{"all", "-n", "0"}, nil},
			{[]string{"one@2", "-n", "all", "--no-system"}, []string{"ready", "Delta"}},
			{[]string{"one@1", "two", "-n", "2", "--no-system"}, []string{"beta", "gamma"}},
			{[]string{"one", "-p", "err"}, []string{"alpha failed"}},
			{[]string{"--priority", "err..warning"}, []string{"alpha failed", "careful"}},
			{[]string{"-p", "7", "-n", "1"}, []string{"Delta"}},
			{[]string{"--grep", "delta|BETA", "--since", "-1h"}, nil},
			{[]string{"--grep", "delta|gamma|beta", "-n", "2", "--no-system"}, []string{"gamma", "Delta"}},
			{[]string{"-g", "f.iled$"}, []string{"alpha failed"}},
			{[]string{"--since", fmt.Sprintf("@%d", second.Unix()), "--no-system"}, []string{"Delta"}},
			{[]string{"--until", fmt.Sprintf("@%d", second.Unix()), "--no-system"}, all[:7]},
			{[]string{"--since", "10m", "--no-system"}, all},
			{[]string{"--since", second.Format("2006-01-02T15:04:05Z"), "--no-system"}, []string{"Delta"}},
			{[]string{"--boot", "--no-system"}, all},
			{[]string{"-b", "--until", "1h", "--no-system"}, nil},
		} {
			got := messages(readLogs(t, m, append(c.args, "--no-follow")...))
			for i, s := range got {
				got[i] = strings.TrimRight(strings.TrimSuffix(s, " 1"), " 2")
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("clusterctl logs %q prints %q, want %q", c.args, got, c.want)
			}
		}
		if r := m.Must(t, "logs", "one", "-n", "1", "--timestamp=YYYY-MM-DD", "--no-system"); !strings.HasPrefix(r.Stdout,
			second.Format("2006-01-02")+" one@2 | Delta") {
			t.Errorf("clusterctl logs --timestamp=YYYY-MM-DD prints %q, want the date before the line", r.Stdout)
		}
		checkRefused(t, m)
	})
}

// checkRefused runs invalid command lines of logs and flush, and checks their exit status and error.
func checkRefused(t *testing.T, m *kit.Machine) {
	t.Helper()
	for _, c := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"logs", "one", "--err"}, 2, "journald does not record"},
		{[]string{"logs", "one", "--since", "soon"}, 2, "--since yesterday"},
		{[]string{"logs", "one", "--grep", "a("}, 2, `--grep: invalid pattern "a(": missing`},
		{[]string{"logs", "one", "--boot=-9"}, 2, "journalctl --list-boots"},
		{[]string{"logs", "one@9"}, 1, "one has no instance 9"},
		{[]string{"logs", "nosuch"}, 1, `no app "nosuch"`},
		{[]string{"flush", "one", "--yes"}, 1, "journald cannot remove the lines of one app"},
		{[]string{"flush", "one@1", "--yes"}, 2, "sudo clusterctl flush one"},
	} {
		if r := m.Clusterctl(t, c.args...); r.Code != c.code || !strings.Contains(r.Stderr, c.text) || r.Stdout != "" {
			t.Errorf("%q: want exit status %d, %q on stderr and an empty stdout: %v", c.args, c.code, c.text, r)
		}
	}
	if r := m.Must(t, "logs", "--disk-usage"); !strings.Contains(r.Stdout, "of the machine, all services") ||
		!strings.Contains(r.Stdout, "one two") {
		t.Errorf("clusterctl logs --disk-usage does not print the journal of the machine and its apps:\n%s", r.Stdout)
	}
}

// TestLogsOfSystemd checks that clusterctl logs prints the messages of systemd about an instance, unless --no-system is
// given.
func TestLogsOfSystemd(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		installTalker(t, m, "killed", 1)
		f := followLogs(t, m, "killed")
		m.Sh(t, "systemctl kill -s KILL killed@1")
		f.readUntil(t, "killed", func(l logLine) bool {
			return l.Source == "systemd" && strings.Contains(l.Message, "status=9/KILL") && l.Instance == 1
		})
		f.await(t, "ready 1")
		r := m.Must(t, "logs", "killed", "-n", "all", "--no-follow")
		if !strings.Contains(r.Stdout, "killed@1 | systemd: killed@1.service: Main process exited, code=killed, status=9/KILL\n") {
			t.Errorf("clusterctl logs does not print systemd's message about the kill:\n%s", r.Stdout)
		}
		if r := m.Must(t, "logs", "killed", "-n", "all", "--no-system"); strings.Contains(r.Stdout, "systemd:") {
			t.Errorf("clusterctl logs --no-system prints messages of systemd:\n%s", r.Stdout)
		}
	})
}

// TestLogsWithoutAccess runs logs as a user who may not read the journal. The error must contain the command that adds
// the user to the group systemd-journal. If the user is in this group, clusterctl logs must print the lines.
func TestLogsWithoutAccess(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		a := installTalker(t, m, "closed", 1)
		a.tell(t, 1, "echo secret")
		a.await(t, "secret")
		as := func(groups string) lab.Result {
			return m.Try("setpriv --reuid nobody --regid nogroup " + groups + " " + kit.Ctl + " logs closed --no-follow")
		}
		r := as("--clear-groups")
		if r.Code != 4 || !strings.Contains(r.Stderr, "hint: sudo usermod -aG systemd-journal nobody\n") || r.Stdout != "" {
			t.Errorf("without the group systemd-journal: want exit status 4 and a hint: %v", r)
		}
		if r := as("--groups systemd-journal"); r.Code != 0 || !strings.Contains(r.Stdout, "closed@1 | secret\n") {
			t.Errorf("with the group systemd-journal: want exit status 0 and the lines: %v", r)
		}
	})
}
