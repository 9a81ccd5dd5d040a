package lab

import (
	"fmt"
	"strings"
	"testing"
)

// TestExplainFailure checks that a failing test logs the errors in its machine.
func TestExplainFailure(t *testing.T) {
	m := Shared(t, Bookworm)
	m.Try("systemd-run --wait --quiet --unit=lab-broken sh -c 'echo the reason; exit 3'")
	t.Cleanup(func() { m.Try("systemctl reset-failed lab-broken") })
	// This matches only the line of the program; systemd's own lines also contain the
	// command.
	const message = "]: the reason"
	m.AwaitJournal(t, message, "-u", "lab-broken")
	rec := &recorder{TB: t}
	m.explainFailure(rec)
	rec.cleanup()
	if rec.log != "" {
		t.Errorf("a passing test logged %s", rec.log)
	}
	rec.failed = true
	rec.cleanup()
	for _, want := range []string{"lab-broken.service", message, m.Name()} {
		if !strings.Contains(rec.log, want) {
			t.Errorf("missing %q in\n%s", want, rec.log)
		}
	}
}

// recorder is a testing.TB that records calls.
type recorder struct {
	testing.TB
	failed  bool
	log     string
	cleanup func()
}

func (r *recorder) Helper()                    {}
func (r *recorder) Failed() bool               { return r.failed }
func (r *recorder) Cleanup(f func())           { r.cleanup = f }
func (r *recorder) Logf(f string, args ...any) { r.log += fmt.Sprintf(f, args...) }
