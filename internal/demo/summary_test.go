package main

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab/load"
)

func TestSummary(t *testing.T) {
	apps := []app{{"hello", "3 instances of a Go worker"}, {"web", "2 instances of an unmodified Node server"}}
	actions := []action{
		{"kill -9 of all three workers", 3, load.Report{Clients: clients, Requests: 2240, OK: 2233, Reset: 6, EOF: 1}},
		{"reload, scale to 4, scale to 3", 0, load.Report{Clients: clients, Requests: 161980, OK: 161980}},
	}
	var b strings.Builder
	if err := summary(&b, apps, actions, 18200*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"== summary, after 18s\n",
		"installed hello   3 instances of a Go worker\n",
		"installed web     2 instances of an unmodified Node server\n",
		"kill -9 of all three workers           2240        0     7  (expected at most 24: one per client and kill)\n",
		"reload, scale to 4, scale to 3       161980        0     0\n",
		"3 workers were killed, and systemd restarted each of them.",
		"make deb && sudo apt install ./dist/clusterctl_*_" + runtime.GOARCH + ".deb",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("missing %q in\n%s", want, b.String())
		}
	}
	if lines := strings.Count(b.String(), "\n"); lines > 20 {
		t.Errorf("the summary has %d lines, which is too long to read in ten seconds", lines)
	}
}
