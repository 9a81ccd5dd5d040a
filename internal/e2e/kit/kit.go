// Package kit has what all packages of end-to-end tests do with clusterctl in a machine.
package kit

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// The paths of the two programs in a machine.
const (
	Ctl  = "/usr/bin/clusterctl"
	Shim = "/usr/lib/clusterctl/clusterctl-shim"
)

// Timeout bounds one command of clusterctl in a machine.
const Timeout = 5 * time.Minute

// CopyIn builds both programs and copies them into the machine.
func CopyIn(t testing.TB, m *lab.Machine) {
	t.Helper()
	m.CopyIn(t, lab.Build(t, "./cmd/clusterctl"), Ctl)
	m.CopyIn(t, lab.Build(t, "./cmd/clusterctl-shim"), Shim)
}

// Run runs clusterctl as root in a directory of the machine, and ends the test when that takes longer than Timeout.
func Run(t testing.TB, m *lab.Machine, dir string, args ...string) lab.Result {
	t.Helper()
	ctx, cancel := patience.WithTimeout(context.Background(), Timeout)
	defer cancel()
	r := m.Run(ctx, slices.Concat([]string{"env", "-C", dir, Ctl}, args)...)
	if r.Code == -1 {
		t.Fatalf("clusterctl %q: %v", args, r)
	}
	return r
}

// Must runs clusterctl as Run does, and ends the test when it fails.
func Must(t testing.TB, m *lab.Machine, dir string, args ...string) lab.Result {
	t.Helper()
	r := Run(t, m, dir, args...)
	if r.Code != 0 {
		t.Fatalf("clusterctl %q: %v", args, r)
	}
	return r
}
