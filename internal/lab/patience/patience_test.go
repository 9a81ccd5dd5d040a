package patience

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// TestFactor checks the factor for different loads. For one task per CPU, the factor is 2.
func TestFactor(t *testing.T) {
	for _, c := range []struct {
		loadavg string
		cpus    int
		want    float64
	}{
		{"0.00 0.00 0.00 1/97 32193\n", 2, 1},
		{"0.00 0.00 0.00 3/97 32193\n", 2, 2}, // two tasks have just started
		{"2.00 0.50 0.10 1/97 32193\n", 2, 2}, // the two tasks wait for input now
		{"2.00 0.50 0.10 3/97 32193\n", 8, 1.25},
		{"16.00 9.00 4.00 9/97 32193\n", 2, 9},
		{"400.00 90.00 40.00 300/970 32193\n", 2, maxFactor},
		{"", 2, 1},
		{"invalid", 2, 1},
	} {
		if got := factor(c.loadavg, c.cpus); got != c.want {
			t.Errorf("%q on %d CPUs: got %v, want %v", c.loadavg, c.cpus, got, c.want)
		}
	}
	if got := (host{"/nonexistent", 2}).bound(time.Second); got != time.Second {
		t.Errorf("without a loadavg file: got %v, want 1s", got)
	}
}

// TestWithTimeout checks that the limit grows if the load rises during the wait, and is unchanged if the load falls.
func TestWithTimeout(t *testing.T) {
	path := filepath.Join(t.TempDir(), "loadavg")
	load := func(text string) {
		if err := os.WriteFile(path, []byte(text+" 0 0 1/9 9\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		before, later string
		want          time.Duration
	}{
		{"0", "0", time.Minute},
		{"0", "2", 2 * time.Minute},
		{"4", "0", 3 * time.Minute},
		{"4", "8", 5 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			load(c.before)
			begin := time.Now()
			ctx, cancel := (host{path, 2}).withTimeout(t.Context(), time.Minute)
			defer cancel()
			load(c.later)
			<-ctx.Done()
			if took := time.Since(begin); took != c.want {
				t.Errorf("load %s, then %s: the limit was %v, want %v", c.before, c.later, took, c.want)
			}
			if err := context.Cause(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got the cause %v, want DeadlineExceeded", err)
			}
		})
	}
}

// TestCancel checks that the cause is not a timeout if the caller cancels the context.
func TestCancel(t *testing.T) {
	ctx, cancel := WithTimeout(t.Context(), time.Hour)
	cancel()
	<-ctx.Done()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got the cause %v, want only Canceled", err)
	}
}
