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

// TestWatch runs ls --watch with an interval longer than the test, so that only events of systemd can cause new lines.
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
				t.Fatalf("ls --watch prints no further line: %v", err)
			}
			return s
		}
		pid := strings.TrimSpace(line())
		first := parseApps(t, line())[0]
		m.Sh(t, "kill -KILL "+fmt.Sprint(first.Instances[0].PID))
		for again := first; again.Instances[0].Restarts == 0 || again.Ready < 2; {
			again = parseApps(t, line())[0]
		}
		// Another command stops the app.
		m.Sh(t, "clusterctl stop watched")
		for again := first; again.State != "stopped"; {
			again = parseApps(t, line())[0]
		}
		m.Sh(t, "kill -INT "+pid)
		for err = nil; err == nil; {
			_, err = next.ReadString('\n')
		}
		if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != interrupted {
			t.Errorf("ls --watch after Ctrl-C: %v", err)
		}

		// A closed pipe ends the watch without an error message.
		m.Sh(t, "clusterctl start watched")
		if r := m.Try(kit.Ctl + " show watched --watch --json --interval 100ms | head -3"); r.Stderr != "" ||
			outputschema.Check("show", []byte(r.Stdout)) != nil || len(kit.Lines(r.Stdout)) != 3 {
			t.Errorf("show --watch | head: %v", r)
		}
		text, r := interruptAfter(t, m, "exec "+kit.Ctl+" ls --watch --interval 200ms >/run/see.out", "\n\nNAME ")
		if strings.Contains(text, "\x1b") || r.Stderr != "" || r.Code != interrupted {
			t.Errorf("ls --watch into a file: %v\n%q", r, text)
		}
		a.WantUp(t)
	})
}

// interruptAfter runs a script that writes to /run/see.out. When the file contains want, it sends SIGINT to the process
// whose PID is in /run/see.pid (the script itself, unless the script changes the file). It returns the content of
// /run/see.out.
func interruptAfter(t *testing.T, m *kit.Machine, script, want string) (string, lab.Result) {
	t.Helper()
	m.Sh(t, "rm -f /run/see.out; : >/run/see.out")
	t.Cleanup(func() { m.Sh(t, "rm -f /run/see.*") })
	p := m.Start(t, "sh", "-c", "echo $$ >/run/see.pid; "+script)
	kit.Poll(t, "the output is written", func() bool { return strings.Contains(m.ReadFile(t, "/run/see.out"), want) })
	m.Sh(t, "kill -INT $(cat /run/see.pid)")
	r := p.Wait()
	text := m.ReadFile(t, "/run/see.out")
	if !strings.Contains(text, want) {
		t.Errorf("%s: %q is missing in %q", script, want, text)
	}
	return text, r
}

// TestTablesFitTheTerminal: on a terminal no line is wider than the terminal, and the screen is restored at the end.
func TestTablesFitTheTerminal(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		kit.InstallNative(t, m, "terminal-with-a-name-that-is-long", 2, 8319, "--", goWorker)
		kit.InstallNative(t, m, "terminal", 1, 8320, "--listen", "other=127.0.0.1:8321", "--listen", "third=/run/terminal.sock",
			"--", goWorker)
		terminal := func(columns int, command string) string {
			t.Helper()
			return strings.ReplaceAll(m.Sh(t,
				fmt.Sprintf("TERM=xterm script -qec 'stty cols %d rows 20; %s' /dev/null", columns, command)), "\r\n", "\n")
		}
		escapes := regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`)
		for _, columns := range []int{80, 200} {
			for _, command := range []string{kit.Ctl + " ls", kit.Ctl + " ls -a"} {
				out := terminal(columns, command)
				if !strings.Contains(out, "\x1b[32mrunning\x1b[0m") {
					t.Errorf("%s: the output has no colours:\n%q", command, out)
				}
				for _, line := range kit.Lines(escapes.ReplaceAllString(out, "")) {
					if n := utf8.RuneCountInString(line); n > columns {
						t.Errorf("%s on %d columns prints a line with %d columns: %s", command, columns, n, line)
					}
				}
				if wide := strings.Contains(out, "UPTIME"); wide != (columns == 200) && command == kit.Ctl+" ls" {
					t.Errorf("%s on %d columns shows the wrong set of columns:\n%s", command, columns, out)
				}
			}
		}
		if out := terminal(80, "NO_COLOR=1 "+kit.Ctl+" ls"); strings.Contains(out, "\x1b") {
			t.Errorf("the output with NO_COLOR: %q", out)
		}
		m.WriteFile(t, "/run/see.sh", "stty cols 80 rows 20\necho $$ >/run/see.pid\nexec "+kit.Ctl+" ls --watch --interval 200ms\n", 0o644)
		out, _ := interruptAfter(t, m, "TERM=xterm script -f -qec 'sh /run/see.sh' /run/see.out >/dev/null", "\x1b[J\x1b[H")
		if strings.Count(out, "\x1b[?1049h") != 1 || strings.LastIndex(out, "\x1b[?25h\x1b[?1049l") < strings.LastIndex(out, "\x1b[J") {
			t.Errorf("ls --watch on a terminal: %q", out)
		}
	})
}
