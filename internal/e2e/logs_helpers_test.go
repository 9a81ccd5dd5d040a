//go:build lab

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// talker is an app without a port. The test sends commands to its instances, and the instances run these commands.
type talker struct{ kit.App }

const (
	talkerScript = "/opt/e2e/talker.sh"
	logger       = "/opt/e2e/logger"
)

// installTalker installs n instances of talker.sh, and waits until all instances accept commands. The parameter extraFlags
// contains additional flags of install.
func installTalker(t testing.TB, m *kit.Machine, name string, n int, extraFlags ...string) talker {
	t.Helper()
	if m.Try("test -e "+talkerScript).Code != 0 {
		m.CopyIn(t, "testdata/talker.sh", talkerScript)
		m.Sh(t, "chmod +x "+talkerScript)
	}
	return installTalkerProgram(t, m, talkerScript, name, n, extraFlags...)
}

// installTalkerProgram installs n instances of a program that reads commands from a FIFO, and waits until all instances
// accept commands. The path of the FIFO is the last argument of the program, a dot and the instance number.
func installTalkerProgram(t testing.TB, m *kit.Machine, program, name string, n int, extraFlags ...string) talker {
	t.Helper()
	flags := []string{name, "--no-listen", "--activation", "native", "--run-as", "root", "--sandbox", "off", "--settle", "1ms"}
	command := []string{"--", program, "/run/e2e/" + name}
	a := talker{kit.Install(t, m, name, n, 0, slices.Concat(flags, extraFlags, command)...)}
	for i := 1; i <= n; i++ {
		a.awaitReady(t, i)
	}
	return a
}

// awaitReady waits until the current process of instance i has logged "ready".
func (a talker) awaitReady(t testing.TB, i int) {
	t.Helper()
	id := a.Machine.Sh(t, fmt.Sprintf("systemctl show -p InvocationID --value %s@%d", a.Name, i))
	a.Machine.AwaitJournal(t, fmt.Sprintf("ready %d", i), "--namespace=*", "_SYSTEMD_INVOCATION_ID="+id)
}

// The method tell sends a command to instance i. For talker.sh, the command is a line of shell script. For
// internal/e2e/logger, the command is one word.
func (a talker) tell(t testing.TB, i int, line string) {
	t.Helper()
	ctx, cancel := patience.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := a.Machine.Command(ctx, "sh", "-c", fmt.Sprintf("cat > %s.%d", "/run/e2e/"+a.Name, i))
	cmd.Stdin = strings.NewReader(line + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sending the command %q to %s@%d: %v %s", line, a.Name, i, err, out)
	}
}

// The method await waits until the journal contains a line of the app with the text.
func (a talker) await(t testing.TB, text string) {
	t.Helper()
	a.Machine.AwaitJournal(t, text, "--namespace=*", "CLUSTERCTL_APP="+a.Name)
}

// logLine is one line of the output of "clusterctl logs --json".
type logLine struct {
	App, Source, Message, Cursor string
	Instance, Priority, PID      int
	Suppressed                   int
	Base64                       []byte `json:"messageBase64"`
	Fields                       map[string][]string
	Time                         time.Time
}

func (l logLine) String() string {
	return fmt.Sprintf("%s@%d %s %q", l.App, l.Instance, l.Source, l.Message)
}

// parseLogs returns the lines in the output of "clusterctl logs --json".
func parseLogs(t testing.TB, text string) []logLine {
	t.Helper()
	var all []logLine
	for line := range strings.Lines(text) {
		var l logLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("clusterctl logs --json printed the invalid line %q: %v", line, err)
		}
		all = append(all, l)
	}
	return all
}

// readLogs runs "clusterctl logs --json", and returns its lines. If the command fails, the test ends.
func readLogs(t testing.TB, m *kit.Machine, args ...string) []logLine {
	t.Helper()
	return parseLogs(t, m.Must(t, append([]string{"logs", "--json"}, args...)...).Stdout)
}

// The function messages returns the messages of all lines with the source "worker".
func messages(all []logLine) []string {
	var out []string
	for _, l := range all {
		if l.Source == "worker" {
			out = append(out, l.Message)
		}
	}
	return out
}

// A follower is a running command "clusterctl logs --json --follow".
type follower struct {
	lines chan string // the lines that the test has not read
	seen  []logLine   // the lines that the test has read
}

// followLogs starts "clusterctl logs --json --follow". With "-n all", the command also prints the lines that were written
// before it started.
func followLogs(t testing.TB, m *kit.Machine, args ...string) *follower {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := m.Command(ctx, append([]string{kit.Ctl, "logs", "--json", "--follow", "-n", "all"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	f := &follower{lines: make(chan string, 1<<16)}
	go func() {
		defer close(f.lines)
		s := bufio.NewScanner(out)
		s.Buffer(nil, 32<<20)
		for s.Scan() {
			f.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
	})
	return f
}

// The method await reads lines until it finds a line of a worker with this message.
func (f *follower) await(t testing.TB, message string) {
	t.Helper()
	f.readUntil(t, message, func(l logLine) bool { return l.Source == "worker" && l.Message == message })
}

// readUntil reads lines until the function match returns true for a line. The parameter name describes the line in the
// failure text.
func (f *follower) readUntil(t testing.TB, name string, match func(logLine) bool) {
	t.Helper()
	end := patience.After(kit.EventTimeout)
	for {
		select {
		case line, open := <-f.lines:
			if !open {
				t.Fatalf("clusterctl logs exited before it printed %q; the last of %d lines: %v",
					name, len(f.seen), f.seen[max(0, len(f.seen)-5):])
			}
			l := parseLogs(t, line)[0]
			f.seen = append(f.seen, l)
			if match(l) {
				return
			}
		case <-end:
			t.Fatalf("timeout while waiting for %q; the last of %d lines: %v",
				name, len(f.seen), f.seen[max(0, len(f.seen)-5):])
		}
	}
}
