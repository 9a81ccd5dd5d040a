package lab

import (
	"fmt"
	"strings"
	"testing"
)

// TestExplainFailure shows what went wrong inside when a test fails.
func TestExplainFailure(t *testing.T) {
	m := Shared(t, Bookworm)
	m.Try("systemd-run --wait --quiet --unit=lab-broken sh -c 'echo the reason; exit 3'")
	t.Cleanup(func() { m.Try("systemctl reset-failed lab-broken") })
	// As the program says it: systemd's own lines have it in the command.
	const said = "]: the reason"
	m.AwaitJournal(t, said, "-u", "lab-broken")
	rec := &recorder{TB: t}
	m.explainFailure(rec)
	rec.cleanup()
	if rec.log != "" {
		t.Errorf("a test that passed logged %s", rec.log)
	}
	rec.failed = true
	rec.cleanup()
	for _, want := range []string{"lab-broken.service", said, m.Name()} {
		if !strings.Contains(rec.log, want) {
			t.Errorf("no %q in\n%s", want, rec.log)
		}
	}
}

// recorder is a test that may fail.
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
