// Package patience adapts the time limits of tests to the load of the host. The caller passes the limit for an idle host. On
// a busy host, a process gets only a part of the CPU time, so the limit is multiplied by a factor.
//
//	ctx, cancel := patience.WithTimeout(t.Context(), time.Minute)
//	conn.SetDeadline(time.Now().Add(patience.For(20 * time.Second)))
//
// Use this package only for limits that a passing test never reaches. Do not use this package for durations that a test
// measures.
package patience

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// maxFactor limits the factor, so that a hung test ends before "go test -timeout" ends all tests.
const maxFactor = 10

// The function For returns the current time limit for a wait that takes at most d on an idle host.
func For(d time.Duration) time.Duration { return thisHost().bound(d) }

// The function After returns a channel that is closed after the limit For(d). The limit grows if the load rises during the
// wait.
func After(d time.Duration) <-chan struct{} {
	ctx, _ := WithTimeout(context.Background(), d)
	return ctx.Done()
}

// WithTimeout does the same as context.WithTimeout(parent, For(d)). The limit grows if the load rises during the wait.
func WithTimeout(parent context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return thisHost().withTimeout(parent, d)
}

// host is the source of the load.
type host struct {
	loadavg string // the file of proc_loadavg(5)
	cpus    int
}

func thisHost() host { return host{"/proc/loadavg", runtime.NumCPU()} }

func (h host) bound(d time.Duration) time.Duration {
	return time.Duration(float64(d) * h.factor()).Round(time.Millisecond)
}

// factor returns 1 on an idle host, plus the number of tasks per CPU that run or wait for a CPU.
func (h host) factor() float64 {
	b, err := os.ReadFile(h.loadavg)
	if err != nil {
		return 1 // only Linux has this file
	}
	return factor(string(b), h.cpus)
}

// factor returns the factor for the contents of /proc/loadavg. factor uses the larger of two numbers of tasks: the average
// over a minute, which rises slowly, and the current number, which fluctuates.
func factor(loadavg string, cpus int) float64 {
	f := strings.Fields(loadavg)
	if len(f) < 4 {
		return 1
	}
	average, _ := strconv.ParseFloat(f[0], 64)
	running, _, _ := strings.Cut(f[3], "/")
	now, _ := strconv.ParseFloat(running, 64)
	return min(1+max(average, now-1)/float64(cpus), maxFactor) // the number now includes this process
}

func (h host) withTimeout(parent context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	begin, limit := time.Now(), h.bound(d)
	go func() {
		for left := limit; left > 0; left = limit - time.Since(begin) {
			timer := time.NewTimer(left)
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-timer.C:
			}
			limit = max(limit, h.bound(d))
		}
		cancel(errors.Join(context.DeadlineExceeded, fmt.Errorf("not within %v", limit.Round(time.Millisecond))))
	}()
	return ctx, func() { cancel(context.Canceled) }
}
