//go:build lab

package logs

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

func TestMain(m *testing.M) { lab.Main(m) }

const (
	ctl  = "/usr/bin/clusterctl"
	fifo = "/run/bench.1"
)

// talker executes the commands that are written to its FIFO.
const talker = `#!/bin/sh
mkfifo /run/bench.$INSTANCE; exec 3<>/run/bench.$INSTANCE; echo ready
while read -r line <&3; do eval "$line"; done
`

// machine boots systemd 252 with one instance of talker.
func machine(b *testing.B) *lab.Machine {
	b.Helper()
	m := lab.Boot(b, lab.Bookworm)
	m.CopyIn(b, lab.Build(b, "./cmd/clusterctl"), ctl)
	m.CopyIn(b, lab.Build(b, "./cmd/clusterctl-shim"), "/usr/lib/clusterctl/clusterctl-shim")
	m.Sh(b, "cat > /opt/talker.sh <<'E'\n"+talker+"E\nchmod +x /opt/talker.sh")
	m.Sh(b, ctl+" install bench -i 1 --no-listen --activation native --run-as root --sandbox off -- /opt/talker.sh")
	m.AwaitJournal(b, "ready", "CLUSTERCTL_APP=bench")
	return m
}

func BenchmarkLatency(b *testing.B) {
	m := machine(b)
	for _, c := range []struct {
		name string
		argv []string
	}{
		{"clusterctl", []string{ctl, "logs", "bench", "--follow", "--raw", "-n", "0"}},
		{"journalctl", []string{"journalctl", "-q", "-o", "cat", "--follow", "-n", "0", "CLUSTERCTL_APP=bench"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			d := latencies(b, m, c.argv, 100)
			b.ReportMetric(float64(d[len(d)/2].Microseconds())/1000, "ms-median")
			b.ReportMetric(float64(d[len(d)*99/100].Microseconds())/1000, "ms-p99")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// latencies makes the talker write single lines, each of which is the current time. The interval between lines is not a
// multiple of any polling interval.
func latencies(b *testing.B, m *lab.Machine, argv []string, n int) []time.Duration {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	cmd := m.Command(ctx, argv...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	defer func() { cancel(); _ = cmd.Wait() }()
	var d []time.Duration
	// The talker writes more lines than needed, because the command may start too late to print the first lines.
	m.Sh(b, fmt.Sprintf(`echo 'for i in $(seq %d); do date +%%s%%N; sleep 0.23; done' > %s`, n+20, fifo))
	for s := bufio.NewScanner(out); len(d) < n && s.Scan(); {
		if at, err := strconv.ParseInt(s.Text(), 10, 64); err == nil {
			d = append(d, time.Since(time.Unix(0, at)))
		}
	}
	if len(d) < n {
		b.Fatalf("got only %d lines", len(d))
	}
	slices.Sort(d)
	return d
}

func BenchmarkRead(b *testing.B) {
	m := machine(b)
	const lines = 1_000_000
	m.Sh(b, fmt.Sprintf(`echo 'seq -f "a line of ordinary length, such as a server writes for each request %%.0f" %d; `+
		`echo "the end"' > %s`, lines, fifo))
	ctx, cancel := patience.WithTimeout(b.Context(), 10*time.Minute)
	defer cancel()
	for !strings.Contains(m.Run(ctx, "journalctl", "-q", "-n", "1", "-o", "cat", "CLUSTERCTL_APP=bench").Stdout, "the end") {
		if ctx.Err() != nil {
			b.Fatal("the talker has not written the lines")
		}
		time.Sleep(time.Second)
	}
	for b.Loop() {
		export, _, _ := timeCommand(b, m, "journalctl", "-q", "-o", "export", "CLUSTERCTL_APP=bench")
		logs, rss, count := timeCommand(b, m, ctl, "logs", "bench", "--raw", "-n", "all", "--no-follow")
		if count < lines {
			b.Fatalf("got %d of %d lines", count, lines)
		}
		b.ReportMetric(export.Seconds(), "s-export")
		b.ReportMetric(logs.Seconds(), "s-logs")
		b.ReportMetric(logs.Seconds()/export.Seconds(), "ratio")
		b.ReportMetric(float64(rss)/1024, "MB-rss")
	}
}

// timeCommand runs a command and returns its time, the peak memory in KiB shortly before the end, and the number of lines of
// output.
func timeCommand(b *testing.B, m *lab.Machine, argv ...string) (time.Duration, int64, int) {
	b.Helper()
	cmd := m.Command(b.Context(), argv...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	started := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	count, rss := 0, int64(0)
	buffer := make([]byte, 1<<20)
	for {
		n, err := out.Read(buffer)
		count += bytes.Count(buffer[:n], []byte("\n"))
		if rss == 0 && count > 950_000 {
			rss = peak(b, m, filepath.Base(argv[0]))
		}
		if err != nil {
			break
		}
	}
	if err := cmd.Wait(); err != nil {
		b.Fatalf("%q: error %v", argv, err)
	}
	return time.Since(started), rss, count
}

// peak returns VmHWM of the process with this name (proc(5)).
func peak(b *testing.B, m *lab.Machine, name string) int64 {
	b.Helper()
	n, err := strconv.ParseInt(m.Sh(b, "awk '/VmHWM/ {print $2}' /proc/$(pgrep -x "+name+")/status"), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}
