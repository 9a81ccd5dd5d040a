//go:build lab

package scale500

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

func TestMain(m *testing.M) { lab.Main(m) }

const (
	ctl     = "/usr/bin/clusterctl"
	shim    = "/usr/lib/clusterctl/clusterctl-shim"
	systemd = "org.freedesktop.systemd1"
	manager = "/org/freedesktop/systemd1"
	// bound is a time limit that is far longer than any command takes with 500 instances.
	bound = 5 * time.Minute
)

// commands returns the commands in an order in which each finds the state that it needs. 500 instances that start at
// once compete for the CPUs, so the times of start and stop depend on more than clusterctl.
func commands(n int) [][]string {
	return [][]string{
		{"ls"}, {"ls", "--no-cpu"}, {"ls", "-a", "--json"}, {"show", "many"}, {"env", "many"},
		{"stop", "many"}, {"start", "many", "--settle", "0s"},
		{"scale", "many", "+10", "--settle", "0s"}, {"scale", "many", "-10"}, {"stop", fmt.Sprintf("many@%d", n)},
		{"reset", "many"}, {"uninstall", "many", "--yes"},
	}
}

// BenchmarkCommands reports time and calls for each command and number of instances.
func BenchmarkCommands(b *testing.B) {
	m := lab.Shared(b, lab.Bookworm)
	m.CopyIn(b, lab.Build(b, "./cmd/clusterctl"), ctl)
	m.CopyIn(b, lab.Build(b, "./cmd/clusterctl-shim"), shim)
	for _, n := range []int{10, 100, 500} {
		install := []string{
			"install", "many", "-i", fmt.Sprint(n), "--no-listen", "--activation", "native", "--ready", "exec",
			"--restart", "no", "--sandbox", "off",
			"--run-as", "root", "--settle", "0s", "--", "/bin/sleep", "infinity",
		}
		for _, args := range append([][]string{install}, commands(n)...) {
			name := args[0]
			if len(args) > 1 && args[0] != "install" {
				name = strings.Join(args, "_")
			}
			b.Run(fmt.Sprintf("%03d/%s", n, name), func(b *testing.B) {
				if b.N > 1 {
					b.Fatal("each command can be run only once: use -benchtime 1x")
				}
				b.ReportMetric(0, "ns/op")
				var calls int
				var took time.Duration
				calls = count(b, m, func() { took = run(b, m, args...) })
				b.ReportMetric(float64(took.Milliseconds()), "ms")
				b.ReportMetric(float64(calls), "calls")
			})
		}
	}
}

// run runs a command of clusterctl and returns its time, which includes some milliseconds for nsenter.
func run(b *testing.B, m *lab.Machine, args ...string) time.Duration {
	b.Helper()
	ctx, cancel := patience.WithTimeout(context.Background(), bound)
	defer cancel()
	start := time.Now()
	r := m.Run(ctx, append([]string{ctl}, args...)...)
	if r.Code != 0 {
		b.Fatalf("clusterctl %q: %v", args, r)
	}
	return time.Since(start)
}

// count returns the number of method calls that systemd receives over the bus while f runs.
func count(b *testing.B, m *lab.Machine, f func()) int {
	b.Helper()
	const marker = "scale500-marker.service"
	watch, other := m.Bus(b), m.Bus(b)
	messages := make(chan *dbus.Message, 1<<16)
	rules := []string{"type='method_call',destination='" + systemd + "'"}
	if err := watch.BusObject().Call("org.freedesktop.DBus.Monitoring.BecomeMonitor", 0, rules, uint32(0)).Err; err != nil {
		b.Fatal(err)
	}
	watch.Eavesdrop(messages) // called after BecomeMonitor, whose reply must not go to the channel messages
	done := make(chan int)
	go func() {
		n := 0
		for msg := range messages {
			if msg.Type != dbus.TypeMethodCall {
				continue
			}
			if len(msg.Body) == 1 && msg.Body[0] == marker {
				break
			}
			n++
		}
		done <- n
	}()
	f()
	// The request for this unit, which does not exist, ends the count.
	_ = other.Object(systemd, manager).Call(systemd+".Manager.GetUnit", 0, marker).Err
	select {
	case n := <-done:
		return n
	case <-patience.After(time.Minute):
		b.Fatal("the monitor did not receive the call that ends the count")
		return 0
	}
}
