package main

import (
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/units"
)

func TestMayChange(t *testing.T) {
	w := newWorld(t)
	w.args = []string{"clusterctl", "install", "web", "--run-as", "root", "--", "/bin/true", "-x"}
	old, now := units.App{Name: "web"}, units.App{Name: "web", Sandbox: units.SandboxOff, Trust: []string{"root"}}
	err := w.mayChange(t.Context(), old, now, consent{})
	if exitCode(err) != exitUsage || !strings.Contains(err.Error(), "web gets more rights (sandbox: default -> off)") ||
		w.hintFor(err) != "sudo clusterctl install web --run-as root --yes -- /bin/true -x" {
		t.Errorf("without a terminal: got error %v, hint %q", err, w.hintFor(err))
	}
	if err := w.mayChange(t.Context(), old, now, consent{yes: true}); err != nil || w.err.String() != "web: sandbox: default -> off\n" {
		t.Errorf("with --yes: got error %v, stderr %q", err, w.err.String())
	}
	w.stdinTTY = true
	for answer, ok := range map[string]bool{"y\n": true, "n\n": false, "": false} {
		w.stdin = strings.NewReader(answer)
		if err := w.mayChange(t.Context(), old, now, consent{}); (err == nil) != ok {
			t.Errorf("%q: got error %v", answer, err)
		}
	}
	if err := w.mayChange(t.Context(), now, old, consent{}); err != nil {
		t.Errorf("fewer rights: got error %v", err)
	}
}
