//go:build lab

package e2e

import (
	"bufio"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/patience"
	"github.com/clusterctl/clusterctl/internal/outputschema"
)

// TestWatch runs "clusterctl ls --watch" with an interval of one hour, so that only signals of systemd can cause new
// lines.
func TestWatch(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "watched", 2, 8318, "--ready", "notify", "--", goWorker)
		ctx, cancel := patience.WithTimeout(t.Context(), kit.EventTimeout)
		defer cancel()
		cmd := m.Command(ctx, "sh", "-c", "echo $$; exec "+kit.Ctl+" ls --watch --json --interval 1h watched")
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		next := bufio.NewReader(out)
		line := func() string {
			t.Helper()
			s, err := next.ReadString('\n')
			if err != nil {
				t.Fatalf("clusterctl ls --watch prints no further line: %v", err)
			}
			return s
		}
		pid := strings.TrimSpace(line())
		first := parseApps(t, line())[0]
		m.Sh(t, "kill -KILL "+fmt.Sprint(first.Instances[0].PID))
		for app := first; app.Instances[0].Restarts == 0 || app.Ready < 2; {
			app = parseApps(t, line())[0]
		}
		m.Sh(t, "clusterctl stop watched")
		for app := first; app.State != "stopped"; {
			app = parseApps(t, line())[0]
		}
		m.Sh(t, "kill -INT "+pid)
		for err = nil; err == nil; {
			_, err = next.ReadString('\n')
		}
		if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != interrupted {
			t.Errorf("clusterctl ls --watch after SIGINT: got %v, want exit status %d", err, interrupted)
		}

		// clusterctl show --watch must end without an error message if the reader of its stdout exits.
		m.Sh(t, "clusterctl start watched")
		if r := m.Try(kit.Ctl + " show watched --watch --json --interval 100ms | head -3"); r.Stderr != "" ||
			outputschema.Check("show", []byte(r.Stdout)) != nil || len(kit.Lines(r.Stdout)) != 3 {
			t.Errorf("clusterctl show --watch | head -3: want three JSON lines and an empty stderr: %v", r)
		}
		text, r := interruptAfter(t, m, "exec "+kit.Ctl+" ls --watch --interval 200ms >/run/see.out", "\n\nNAME ")
		if strings.Contains(text, "\x1b") || r.Stderr != "" || r.Code != interrupted {
			t.Errorf("clusterctl ls --watch into a file: want no escape sequences and exit status %d after SIGINT: %v\n%q",
				interrupted, r, text)
		}
		a.WantUp(t)
	})
}

// interruptAfter runs a script that writes to /run/see.out. When this file contains the text want, interruptAfter sends
// SIGINT to the process whose PID is in /run/see.pid. /run/see.pid contains the PID of the script, unless the script
// writes another PID. interruptAfter returns the contents of /run/see.out and the result of the script.
func interruptAfter(t *testing.T, m *kit.Machine, script, want string) (string, lab.Result) {
	t.Helper()
	m.Sh(t, "rm -f /run/see.out; : >/run/see.out")
	t.Cleanup(func() { m.Sh(t, "rm -f /run/see.*") })
	p := m.Start(t, "sh", "-c", "echo $$ >/run/see.pid; "+script)
	kit.Poll(t, "/run/see.out contains the expected text", func() bool {
		return strings.Contains(m.ReadFile(t, "/run/see.out"), want)
	})
	m.Sh(t, "kill -INT $(cat /run/see.pid)")
	r := p.Wait()
	text := m.ReadFile(t, "/run/see.out")
	if !strings.Contains(text, want) {
		t.Errorf("the output of %s is %q, want %q in it", script, text, want)
	}
	return text, r
}

// TestTablesFitTheTerminal runs ls on terminals with 80 and 200 columns. No line may be wider than the terminal.
// clusterctl ls --watch must restore the screen when it ends.
func TestTablesFitTheTerminal(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		kit.InstallNative(t, m, "terminal-with-a-name-that-is-long", 2, 8319, "--", goWorker)
		kit.InstallNative(t, m, "terminal", 1, 8320, "--listen", "other=127.0.0.1:8321", "--listen", "third=/run/terminal.sock",
			"--", goWorker)
		runOnTerminal := func(columns int, command string) string {
			t.Helper()
			return strings.ReplaceAll(m.Sh(t,
				fmt.Sprintf("TERM=xterm script -qec 'stty cols %d rows 20; %s' /dev/null", columns, command)), "\r\n", "\n")
		}
		escapes := regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`)
		for _, columns := range []int{80, 200} {
			for _, command := range []string{kit.Ctl + " ls", kit.Ctl + " ls -a"} {
				out := runOnTerminal(columns, command)
				if !strings.Contains(out, "\x1b[32mrunning\x1b[0m") {
					t.Errorf("%s: the word running is not green:\n%q", command, out)
				}
				for _, line := range kit.Lines(escapes.ReplaceAllString(out, "")) {
					if n := utf8.RuneCountInString(line); n > columns {
						t.Errorf("%s prints a line with %d columns, want at most %d: %s", command, n, columns, line)
					}
				}
				if wide := strings.Contains(out, "UPTIME"); wide != (columns == 200) && command == kit.Ctl+" ls" {
					t.Errorf("%s on a terminal with %d columns: want the column UPTIME only with 200 columns:\n%s",
						command, columns, out)
				}
			}
		}
		if out := runOnTerminal(80, "NO_COLOR=1 "+kit.Ctl+" ls"); strings.Contains(out, "\x1b") {
			t.Errorf("clusterctl ls with NO_COLOR=1: want no escape sequences: %q", out)
		}
		m.WriteFile(t, "/run/see.sh", "stty cols 80 rows 20\necho $$ >/run/see.pid\nexec "+kit.Ctl+" ls --watch --interval 200ms\n", 0o644)
		out, _ := interruptAfter(t, m, "TERM=xterm script -f -qec 'sh /run/see.sh' /run/see.out >/dev/null", "\x1b[J\x1b[H")
		if strings.Count(out, "\x1b[?1049h") != 1 || strings.LastIndex(out, "\x1b[?25h\x1b[?1049l") < strings.LastIndex(out, "\x1b[J") {
			t.Errorf("clusterctl ls --watch on a terminal: want one switch to the alternate screen, and a switch back at the end: %q",
				out)
		}
	})
}
