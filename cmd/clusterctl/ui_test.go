package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

func TestExitCode(t *testing.T) {
	instance := &control.InstanceError{Unit: "web@1.service", Reason: "exited with status 1"}
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, exitDone},
		{errors.New("x"), exitFailed},
		{fault.Usagef("x"), exitUsage},
		{fault.WithHint(fault.Usagef("x"), "y"), exitUsage},
		{errors.Join(errors.New("x"), fault.Usagef("x")), exitUsage},
		{&units.FieldError{Key: "name"}, exitUsage},
		{&fault.NotReached{Err: instance}, exitNotReached},
		{errors.Join(&fault.NotReached{Err: instance}, errors.New("taking it back")), exitNotReached},
		{fmt.Errorf("start: %w", control.ErrPermission), exitPermission},
		{&install.Error{Op: "writing", Path: "/x", Err: fs.ErrPermission}, exitPermission},
		{fmt.Errorf("x: %w", context.Canceled), exitInterrupted},
		{errors.Join(&fault.NotReached{Err: instance}, context.Canceled), exitInterrupted},
		{context.DeadlineExceeded, exitFailed},
		{control.ErrNoSystemd, exitFailed},
		{&install.NotInstalledError{App: "x"}, exitFailed},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%v: got %d, want %d", c.err, got, c.want)
		}
	}
}

func TestReport(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New("x"), "clusterctl: x\n"},
		{fault.WithHint(errors.New("x"), "a\nb"), "clusterctl: x\nclusterctl: hint: a\nclusterctl: hint: b\n"},
		{errors.Join(errors.New("x"), errors.Join(fault.Usagef("y"), nil), fault.WithHint(errors.New("z"), "h")),
			"clusterctl: x\nclusterctl: y\nclusterctl: z\nclusterctl: hint: h\n"},
		{fmt.Errorf("%w: no bus: %w", control.ErrLost, errors.New("EOF")), "clusterctl: connection to systemd lost: no bus: EOF\n"},
		{&fault.NotReached{Err: errors.New("web@1.service: it ended"), Log: []string{"one", "two\x1b]0;x\a"}},
			"clusterctl: web@1.service: it ended\nclusterctl: its last log lines:\n    one\n    two\uFFFD]0;x\uFFFD\n"},
		{fault.WithHint(errors.New("\x1b[2J\x9b\u202e"), "\x1b[31mred"),
			"clusterctl: \uFFFD[2J\uFFFD\uFFFD\nclusterctl: hint: \uFFFD[31mred\n"},
		{&units.FieldError{Key: "listen", Message: "m", Hint: "h"}, "clusterctl: listen: m\nclusterctl: hint: h\n"},
		{&install.ForeignError{Path: "/etc/x", Masked: true},
			"clusterctl: \"/etc/x\" masks the unit\nclusterctl: hint: sudo systemctl unmask x\n"},
		{fmt.Errorf("start: %w", control.ErrPermission),
			"clusterctl: start: permission denied\nclusterctl: hint: sudo clusterctl start 'a b'\n"},
		{&install.NotInstalledError{App: "wbe", Apps: []units.Name{"mail", "web"}},
			"clusterctl: there is no app \"wbe\"\nclusterctl: hint: did you mean web?\n"},
		{&install.NotInstalledError{App: "zzz", Apps: []units.Name{"web"}},
			"clusterctl: there is no app \"zzz\"\nclusterctl: hint: clusterctl ls lists the apps\n"},
		{&install.NotInstalledError{App: "zzz"},
			"clusterctl: there is no app \"zzz\"\nclusterctl: hint: no app is installed yet; clusterctl install FILE installs one\n"},
	} {
		w := newWorld(t)
		w.args = []string{"/usr/local/bin/clusterctl", "start", "a b"}
		w.report(c.err)
		if got := w.err.String(); got != c.want {
			t.Errorf("%v: got\n%q\nwant\n%q", c.err, got, c.want)
		}
		if w.out.Len() > 0 {
			t.Errorf("%v: got %q on stdout, want nothing", c.err, w.out.String())
		}
	}
}

func TestInterrupted(t *testing.T) {
	err := interrupted(errors.Join(fmt.Errorf("start of web: %w", context.Canceled), errors.New("taking web back: no space")))
	if got := err.Error(); got != "interrupted\ntaking web back: no space" || exitCode(err) != exitInterrupted {
		t.Errorf("got %q, exit status %d", got, exitCode(err))
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	w := newWorld(t)
	w.dial = func(ctx context.Context) (*control.Conn, error) { return nil, fmt.Errorf("connecting: %w", ctx.Err()) }
	w.installApp(t, "web", 1)
	if code := w.doContext(ctx, "ls"); code != exitInterrupted || w.err.String() != "clusterctl: interrupted\n" || w.out.Len() > 0 {
		t.Errorf("got status %d, stderr %q, stdout %q", code, w.err.String(), w.out.String())
	}
}

// TestPrintable checks that control characters are replaced, and that all other characters do not change.
func TestPrintable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(),
			rapid.Custom(func(t *rapid.T) string { return string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) })).Draw(t, "s")
		got := text.Printable(s)
		if strings.ContainsFunc(got, func(r rune) bool { return r < 0x20 && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 }) {
			t.Fatalf("%q: got %q", s, got)
		}
		if len([]rune(got)) != len([]rune(s)) || text.Printable(got) != got {
			t.Fatalf("%q: got %q", s, got)
		}
		if strings.ContainsAny(text.Cell(s), "\n\t") {
			t.Fatalf("%q: got the cell %q", s, text.Cell(s))
		}
	})
	if s := "Grüße, 世界 🎉\t=\n"; text.Printable(s) != s {
		t.Errorf("%q: got %q", s, text.Printable(s))
	}
}

// TestNotesArePrintable checks that notes and progress lines never contain control characters.
func TestNotesArePrintable(t *testing.T) {
	const foreign = "a\x1b]0;OWNED\a\x1b[2J\r\u009b2J\u202eb\nclusterctl: x"
	w := newWorld(t)
	w.note("left out: %s", foreign)
	w.newProgress("shop", 1).Observe(control.Progress{Unit: "shop@1.service", Phase: control.Broken, Reason: foreign})
	got := w.err.String()
	if strings.ContainsFunc(got, func(r rune) bool { return r != '\n' && (r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x202e) }) ||
		strings.Count(got, "\n") != 2 {
		t.Errorf("got %q on the terminal", got)
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0ms", 999 * time.Microsecond: "0ms", 70 * time.Millisecond: "70ms", time.Second: "1.0s",
		4240 * time.Millisecond: "4.2s",
		10 * time.Second:        "10s", 59*time.Second + 999*time.Millisecond: "59s", time.Minute: "1m00s",
		190 * time.Second: "3m10s", time.Hour: "1h00m",
		5*time.Hour + 2*time.Minute + 59*time.Second: "5h02m", 47*time.Hour + 59*time.Minute: "47h59m", 48 * time.Hour: "2d",
		300 * 24 * time.Hour: "300d",
	} {
		if got := text.Duration(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}

// TestShellWord checks that sh parses the quoted words to the original words. sh prints all words, each with a NUL at the
// end.
func TestShellWord(t *testing.T) {
	words := []string{"", "a", "a b", "'", "it's", `"`, "$HOME", "`id`", "a\nb", "-n", "*", "~", "\\", "é", "a;b", "x=y",
		"!!", "#", "{a,b}", "\t", "--", "%s", "[ab]"}
	gen := rapid.StringOfN(rapid.OneOf(rapid.RuneFrom([]rune("'\"$` \\ab*?!\n#~")), rapid.Rune()), 0, 20,
		-1).Filter(func(s string) bool { return !strings.Contains(s, "\x00") })
	for seed := range 300 {
		words = append(words, gen.Example(seed))
	}
	var script strings.Builder
	for _, w := range words {
		// The directory is empty, so that no file matches a word such as [ab].
		fmt.Fprintf(&script, "printf '%%s\\0' %s\n", text.Shell(w))
	}
	cmd := exec.Command("/bin/sh")
	cmd.Dir, cmd.Stdin = t.TempDir(), strings.NewReader(script.String())
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	if !slices.Equal(got, words) {
		t.Errorf("got %d words, want %d", len(got), len(words))
		for i := range min(len(got), len(words)) {
			if got[i] != words[i] {
				t.Fatalf("got %q, want %q", got[i], words[i])
			}
		}
	}
}

func TestSudoHint(t *testing.T) {
	w := newWorld(t)
	w.euid = 1000
	file := w.file(t, "wd/it's me.js", "", 0o644)
	w.path["node"] = "/usr/bin/node"
	if code := w.do("install", file, "-n", "me", "--no-listen", "--", "-x", "a b"); code != exitPermission {
		t.Errorf("got status %d", code)
	}
	want := "clusterctl: this changes the machine: permission denied\nclusterctl: hint: sudo clusterctl install " +
		text.Shell(file) + " -n me --no-listen -- -x 'a b'\n"
	if got := w.err.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	if err := text.Table(&b, []string{"NAME", "STATE"}, [][]string{{"a", "x\ty\nz"}, {"long-name", "\x1b[31m"}}); err != nil {
		t.Fatal(err)
	}
	if want := "NAME       STATE\na          x y\uFFFDz\nlong-name  \uFFFD[31m\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestProgress(t *testing.T) {
	feed := func(w *world) {
		p := w.newProgress("web", 2)
		for _, ev := range []control.Progress{
			{Unit: "web@1.service", Phase: control.Starting}, {Unit: "web@1.service", Phase: control.Ready},
			{Unit: "web@3.service", Phase: control.SkippedByCondition},
			{Unit: "web@2.service", Phase: control.Broken, Reason: "exited with status 1"},
		} {
			p.Observe(ev)
		}
		p.End()
	}
	w := newWorld(t)
	feed(w)
	if got, want := w.err.String(), "web@1: ready (1/2, 0ms)\nweb@2: failed: exited with status 1 (1/2, 0ms)\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	w = newWorld(t)
	w.stderrTTY = true
	feed(w)
	if got := w.err.String(); strings.Contains(got, "\n") || !strings.HasSuffix(got, "\r\x1b[K") ||
		!strings.Contains(got, "web: 1/2 ready") {
		t.Errorf("got %q", got)
	}
	w = newWorld(t)
	w.stderrTTY, w.quiet = true, true
	feed(w)
	if w.err.Len()+w.out.Len() > 0 {
		t.Errorf("with --quiet: got %q", w.err.String())
	}
}

func TestConfirm(t *testing.T) {
	for answer, yes := range map[string]bool{"y\n": true, "yes\n": true, "YES\n": true, "\n": false, "": false,
		"n\n": false, "yesterday\n": false} {
		w := newWorld(t)
		w.stdinTTY, w.stdin = true, strings.NewReader(answer)
		if err := w.confirm(context.Background(), "sure?"); (err == nil) != yes {
			t.Errorf("%q: got error %v", answer, err)
		}
		if w.err.String() != "sure? [y/N] " || w.out.Len() > 0 {
			t.Errorf("got stderr %q, stdout %q", w.err.String(), w.out.String())
		}
	}
	w := newWorld(t)
	w.args = []string{"clusterctl", "uninstall", "web"}
	err := w.confirm(context.Background(), "sure?")
	if exitCode(err) != exitUsage || w.hintFor(err) != "sudo clusterctl uninstall web --yes" {
		t.Errorf("got error %v, hint %q", err, w.hintFor(err))
	}
	// Ctrl-C ends the question.
	r, pipe, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer pipe.Close()
	w.stdinTTY, w.stdin = true, r
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.confirm(ctx, "sure?"); exitCode(err) != exitInterrupted {
		t.Errorf("got error %v", err)
	}
}

func TestVersion(t *testing.T) {
	w := newWorld(t)
	if code := w.do("version"); code != exitDone || !strings.HasPrefix(w.out.String(), "clusterctl ") || w.err.Len() > 0 {
		t.Errorf("got status %d, stdout %q, stderr %q", code, w.out.String(), w.err.String())
	}
	var info versionInfo
	if code := w.do("version", "--json"); code != exitDone || json.Unmarshal(w.out.Bytes(), &info) != nil ||
		info.Version == "" || info.Systemd != 0 {
		t.Errorf("got status %d, stdout %q, output %+v", code, w.out.String(), info)
	}
}
