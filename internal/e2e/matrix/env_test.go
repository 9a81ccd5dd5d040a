//go:build lab

package matrix

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestVariablesOfEachInstance checks the variables of each instance, and that --pin binds each instance to one CPU.
func TestVariablesOfEachInstance(t *testing.T) {
	m := suite().Shared(t, lab.Workers)
	a := install(t, m, "e-vars", 3, 8711, portFlags(8711, "--env", "DEBUG_PORT=9229", "--increment", "METRICS_PORT=9100",
		"--env", "NODE_OPTIONS=--no-warnings", "--pin", "node.js")...)
	wantAllAnswer(t, a, "/hello", hello)
	var pinned []string
	for i, pid := range a.PIDs(t) {
		env := kit.Lines(m.Sh(t, fmt.Sprintf("tr '\\0' '\\n' < /proc/%d/environ", pid)))
		for _, want := range []string{
			fmt.Sprintf("INSTANCE=%d", i+1), fmt.Sprintf("NODE_APP_INSTANCE=%d", i), fmt.Sprintf("METRICS_PORT=%d", 9100+i),
			"DEBUG_PORT=9229",
			"NODE_OPTIONS=--no-warnings --require " + preload,
		} {
			if !slices.Contains(env, want) {
				t.Errorf("instance %d does not have the variable %s:\n%s", i+1, want, strings.Join(env, "\n"))
			}
		}
		if i := slices.IndexFunc(env, func(v string) bool { return strings.HasPrefix(v, "LISTEN_") }); i >= 0 {
			t.Errorf("an unmodified program has the variable %s, want no LISTEN_ variable", env[i])
		}
		pinned = append(pinned, m.Sh(t, fmt.Sprintf("sed -n 's/Cpus_allowed_list:[[:space:]]*//p' /proc/%d/status", pid)))
	}
	t.Logf("the instances run on the CPUs %v", pinned)
	for i, p := range pinned {
		if strings.ContainsAny(p, ",-") {
			t.Errorf("instance %d runs on %s, want one CPU", i+1, p)
		}
	}
	if pinned[0] == pinned[1] && m.Sh(t, "nproc") != "1" {
		t.Errorf("the first two instances run on the same CPU %s, want different CPUs", pinned[0])
	}
}
