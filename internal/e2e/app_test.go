//go:build lab

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// app is an installed app.
type app struct {
	m    *lab.Machine
	name string
	n    int
	url  string
}

// install installs n instances of a native worker on a TCP port, and removes the app with the test. more are flags, then
// "--" and the command.
func install(t testing.TB, m *lab.Machine, name string, n, port int, more ...string) app {
	t.Helper()
	a := app{m: m, name: name, n: n, url: fmt.Sprintf("http://127.0.0.1:%d/", port)}
	t.Cleanup(func() { a.uninstall(t) })
	r := must(t, m, slices.Concat([]string{"install", name, "-i", fmt.Sprint(n), "--listen", fmt.Sprint(port), "--activation", "native", "--settle", "200ms"}, more)...)
	t.Logf("clusterctl install %s:\n%s%s", name, r.Stdout, r.Stderr)
	return a
}

// uninstall removes the app, if it is there.
func (a app) uninstall(t testing.TB) {
	t.Helper()
	if a.m.Try("test -e /etc/clusterctl/"+a.name+".yaml").Code != 0 {
		return
	}
	if r := run(t, a.m, "uninstall", "--yes", a.name); r.Code != 0 {
		t.Errorf("uninstalling %s: %v", a.name, r)
	}
}

func (a app) service() string { return a.name + ".service" }
func (a app) socket() string  { return a.name + ".socket" }

func (a app) instance(i int) string { return fmt.Sprintf("%s@%d.service", a.name, i) }

// instances are the unit names 1 to n.
func (a app) instances() []string {
	var names []string
	for i := 1; i <= a.n; i++ {
		names = append(names, a.instance(i))
	}
	return names
}

// state gives the ActiveState of units, in their order.
func state(t testing.TB, m *lab.Machine, units ...string) []string {
	t.Helper()
	return lines(m.Sh(t, "systemctl show -p ActiveState --value -- '"+strings.Join(units, "' '")+"'"))
}

// wantState fails the test when not all of the units are in the state.
func wantState(t testing.TB, m *lab.Machine, want string, units ...string) {
	t.Helper()
	got := state(t, m, units...)
	for i, u := range units {
		if i >= len(got) || got[i] != want {
			t.Errorf("%s is %v, want %s for all", strings.Join(units, " "), got, want)
			t.Log(m.Try("systemctl --no-pager status -- '" + u + "'"))
			return
		}
	}
}

// wantUp fails the test unless every unit of the app is active, no instance beyond them is, and requests are answered.
func (a app) wantUp(t testing.TB) {
	t.Helper()
	wantState(t, a.m, "active", append(a.instances(), a.service(), a.socket())...)
	loaded := a.m.Sh(t, "systemctl list-units --no-legend --plain --state=active,activating '"+a.name+"@*'")
	if got := len(lines(loaded)); got != a.n {
		t.Errorf("%d instances run, want %d:\n%s", got, a.n, loaded)
	}
	if r := load.Start(t, a.m, load.Options{URL: a.url, Conns: 2, Requests: 50}).Wait(); r.Failed() > 0 {
		t.Errorf("not all requests are answered: %v", r)
	}
}

// wantDown waits until the app is stopped, and fails the test unless it stays so while requests come.
//
// systemctl stop returns when the aggregate is stopped, which is before the instances have drained: stop jobs run in the
// reverse order of start jobs, and a start waits for the instances.
func (a app) wantDown(t testing.TB, b *bus) {
	t.Helper()
	all := append(a.instances(), a.service(), a.socket())
	b.await(t, "all is stopped", func(s status) bool { return s.active == "inactive" }, all...)
	r := load.Start(t, a.m, load.Options{URL: a.url, Conns: 4, Requests: 300}).Wait()
	if r.Refused != r.Requests {
		t.Errorf("the app is stopped, and not all requests are refused: %v", r)
	}
	wantState(t, a.m, "inactive", all...)
	if jobs := a.m.Sh(t, "systemctl list-jobs --no-legend --plain"); strings.Contains(jobs, a.name) {
		t.Errorf("the app is stopped, and there are jobs:\n%s", jobs)
	}
}

// pids are the main processes of the instances.
func (a app) pids(t testing.TB) []int {
	t.Helper()
	var pids []int
	for _, u := range a.instances() {
		pids = append(pids, a.m.MainPID(t, u))
	}
	return pids
}

// awaitListening waits until every worker polls the listener, for programs whose start says only that they were executed.
func (a app) awaitListening(t testing.TB) {
	t.Helper()
	for _, u := range a.instances() {
		a.m.AwaitJournal(t, "listening", "_PID="+fmt.Sprint(a.m.MainPID(t, u)))
	}
}

// pairOfLoads are requests on new connections and on kept ones, at the same time.
type pairOfLoads [2]*load.Run

// bothLoads begins to send requests of both kinds.
func (a app) bothLoads(t testing.TB) (p pairOfLoads) {
	t.Helper()
	for i := range p {
		p[i] = load.Start(t, a.m, load.Options{URL: a.url, KeepAlive: i == 1, Rate: rate})
	}
	return p
}

// wantNoneLost ends the requests, and fails the test when one has failed.
func (p pairOfLoads) wantNoneLost(t testing.TB, what string) {
	t.Helper()
	for i, run := range p {
		r := run.Stop()
		t.Logf("%s, keep-alive %v: %v", what, i == 1, r)
		if r.Failed() > 0 || r.OK == 0 {
			t.Errorf("%s, keep-alive %v: %d requests failed", what, i == 1, r.Failed())
		}
	}
}
