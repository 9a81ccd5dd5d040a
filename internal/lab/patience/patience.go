// Package patience bounds waits of tests by what the host is doing. A bound is written down for an idle host; on a busy one
// a process gets only its share of the CPUs, so that the wait may last that many times longer. A test that hangs still ends.
//
//	ctx, cancel := patience.WithTimeout(t.Context(), time.Minute)
//	conn.SetDeadline(time.Now().Add(patience.For(20 * time.Second)))
//
// It is for bounds that a test reaches only when it fails. A time that is part of what a test does is a plain time.Duration.
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

// most bounds the factor: more would keep a test that hangs from ending before "go test -timeout" ends all of them.
const most = 10

// For returns how long a wait may last now that takes d at most on an idle host.
func For(d time.Duration) time.Duration { return thisHost().bound(d) }

// After is time.After(For(d)). It waits longer if the host gets busier before the end.
func After(d time.Duration) <-chan struct{} {
	ctx, _ := WithTimeout(context.Background(), d)
	return ctx.Done()
}

// WithTimeout is context.WithTimeout(parent, For(d)). It waits longer if the host gets busier before the end.
func WithTimeout(parent context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return thisHost().withTimeout(parent, d)
}

// host is where the load is read.
type host struct {
	loadavg string // the file of proc_loadavg(5)
	cpus    int
}

func thisHost() host { return host{"/proc/loadavg", runtime.NumCPU()} }

func (h host) bound(d time.Duration) time.Duration {
	return time.Duration(float64(d) * h.factor()).Round(time.Millisecond)
}

// factor is 1 on an idle host, and one more for each task that waits for a CPU or runs on it.
func (h host) factor() float64 {
	b, err := os.ReadFile(h.loadavg)
	if err != nil {
		return 1 // not Linux: nothing is known
	}
	return factor(string(b), h.cpus)
}

// factor takes the larger one of the average over a minute and the number of tasks that want a CPU now: the average is late
// when the load has just begun, and the number is a moment's.
func factor(loadavg string, cpus int) float64 {
	f := strings.Fields(loadavg)
	if len(f) < 4 {
		return 1
	}
	average, _ := strconv.ParseFloat(f[0], 64)
	running, _, _ := strings.Cut(f[3], "/")
	now, _ := strconv.ParseFloat(running, 64)
	return min(1+max(average, now-1)/float64(cpus), most) // the task that reads the file is one that runs
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
