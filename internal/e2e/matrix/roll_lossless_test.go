//go:build lab

package matrix

import (
	"fmt"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// The constant settle holds the flag --settle with a short time, because TestReloadsAndScalesLoseNothing starts hundreds
// of instances.
const settle = "--settle 50ms"

// TestReloadsAndScalesLoseNothing reloads an unmodified Node server and a Go worker 50 times with clusterctl and 50
// times with systemctl, and scales them to 6, 1 and max. Clients send requests on new connections and on keep-alive
// connections, and do not repeat failed requests. No request may fail.
func TestReloadsAndScalesLoseNothing(t *testing.T) {
	goWorker := lab.Build(t, "./packaging/examples/go-worker")
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		m.CopyIn(t, goWorker, srv+"/go-worker")
		node := install(t, m, "l-node", 2, 8421, portFlags(8421, "node.js")...)
		worker := install(t, m, "l-go", 2, 8422, "--listen", "8422", "--activation", "native", "x", "--", srv+"/go-worker")
		for _, a := range []kit.App{node, worker} {
			// systemctl reload has no --settle, so a drop-in sets the variable from which ExecReload= reads its flags.
			drop := "/etc/systemd/system/" + a.Name + ".service.d"
			m.WriteFile(t, drop+"/60-test.conf", "[Service]\nEnvironment=\"CLUSTERCTL_RELOAD_FLAGS="+settle+"\"\n", 0o644)
			t.Cleanup(func() { m.Sh(t, "rm "+drop+"/60-test.conf; systemctl daemon-reload") })
		}
		m.Sh(t, "systemctl daemon-reload")
		var loads []*load.Run
		for _, a := range []kit.App{node, worker} {
			for _, keep := range []bool{false, true} {
				loads = append(loads, load.Start(t, m, load.Options{URL: a.URL("/"), Conns: 2, Rate: 30, KeepAlive: keep}))
			}
		}
		forBoth := func(command string) string {
			return fmt.Sprintf("clusterctl -q %[1]s & other=$!; clusterctl -q %[2]s || exit 1; wait $other || exit 1",
				fmt.Sprintf(command, node.Name), fmt.Sprintf(command, worker.Name))
		}
		for _, step := range []struct {
			name   string
			times  int
			script string
		}{
			{"reloads of both apps with clusterctl", 50, forBoth("reload %s " + settle)},
			{"reloads of both apps with systemctl", 50, "systemctl reload l-node l-go || exit 1"},
			{"scale to 6", 1, forBoth("scale %s 6 " + settle)},
			{"scale to 1", 1, forBoth("scale %s 1 " + settle)},
			{"scale to max", 1, forBoth("scale %s max " + settle)},
		} {
			begin := time.Now()
			// A call of m.Sh adds as much time as a reload, so each call runs ten commands. More commands could exceed
			// the timeout of the call.
			for left := step.times; left > 0; left -= 10 {
				m.Sh(t, fmt.Sprintf("for i in $(seq %d); do %s; done", min(left, 10), step.script))
			}
			t.Logf("%d %s: %v", step.times, step.name, time.Since(begin).Round(time.Millisecond))
		}
		for i, run := range loads {
			kit.WantNoneLost(t, fmt.Sprintf("load %d", i), run.Stop())
		}
	})
}
