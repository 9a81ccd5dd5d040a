package lab

import (
	"fmt"
	"strings"
	"testing"
)

// TestExplainFailure checks that explainFailure logs the failed units and the journal of the machine, but only if the test
// fails.
func TestExplainFailure(t *testing.T) {
	m := Shared(t, Bookworm)
	m.Try("systemd-run --wait --quiet --unit=lab-broken sh -c 'echo the reason; exit 3'")
	t.Cleanup(func() { m.Try("systemctl reset-failed lab-broken") })
	// This text matches only the line of the program. The lines of systemd contain the command without "]: ".
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

// recorder is a testing.TB that stores the log and the cleanup function.
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
