package kit

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// App is an app that a test installs.
type App struct {
	Machine   *Machine
	Name      string
	Instances int
	Port      int        // the TCP port on 127.0.0.1
	Output    lab.Result // the result of clusterctl install
}

// Install runs "clusterctl install -i INSTANCES --name NAME ARGS…", and uninstalls the app at the end of the test. The
// parameter args contains flags and the program file, or flags, a name, "--" and the command.
func Install(t testing.TB, m *Machine, name string, instances, port int, args ...string) App {
	t.Helper()
	a := App{Machine: m, Name: name, Instances: instances, Port: port}
	t.Cleanup(func() { a.Uninstall(t) })
	a.Output = m.Must(t, slices.Concat([]string{"install", "-i", fmt.Sprint(instances), "--name", name}, args)...)
	t.Logf("clusterctl install %s:\n%s%s", name, a.Output.Stdout, a.Output.Stderr)
	return a
}

// InstallNative installs an app whose instances inherit a listener on the port from systemd. The parameter args contains
// additional flags, "--" and the command.
func InstallNative(t testing.TB, m *Machine, name string, instances, port int, args ...string) App {
	t.Helper()
	flags := []string{name, "--listen", fmt.Sprint(port), "--activation", "native", "--settle", "200ms"}
	return Install(t, m, name, instances, port, slices.Concat(flags, args)...)
}

// Uninstall uninstalls the app, if it is installed.
func (a App) Uninstall(t testing.TB) {
	t.Helper()
	if a.Machine.Try("test -e /etc/clusterctl/"+a.Name+".yaml").Code != 0 {
		return
	}
	if r := a.Machine.Clusterctl(t, "uninstall", "--yes", a.Name); r.Code != 0 {
		t.Errorf("uninstalling %s: %v", a.Name, r)
	}
}

// Service returns the name of the unit that starts and stops all instances.
func (a App) Service() string { return a.Name + ".service" }

// Socket returns the name of the socket unit.
func (a App) Socket() string { return a.Name + ".socket" }

// Unit returns the name of the unit of instance i.
func (a App) Unit(i int) string { return fmt.Sprintf("%s@%d.service", a.Name, i) }

// Units returns the names of the units of all instances.
func (a App) Units() []string {
	var names []string
	for i := range a.Instances {
		names = append(names, a.Unit(i+1))
	}
	return names
}

// URL returns the URL of a path on the app's port.
func (a App) URL(path string) string { return fmt.Sprintf("http://127.0.0.1:%d%s", a.Port, path) }

// PIDs returns the PIDs of the main processes of the instances.
func (a App) PIDs(t testing.TB) []int {
	t.Helper()
	var pids []int
	for _, u := range a.Units() {
		pids = append(pids, a.Machine.MainPID(t, u))
	}
	return pids
}

// WantState fails the test unless the ActiveState of each unit equals the parameter want.
func (m *Machine) WantState(t testing.TB, want string, units ...string) {
	t.Helper()
	got := Lines(m.Sh(t, "systemctl show -p ActiveState --value -- '"+strings.Join(units, "' '")+"'"))
	for i, u := range units {
		if i >= len(got) || got[i] != want {
			t.Errorf("%s: got the states %v, want %s for every unit", strings.Join(units, " "), got, want)
			t.Log(m.Try("systemctl --no-pager status -- '" + u + "'"))
			return
		}
	}
}

// WantActive fails the test unless all units of the app are active, and no instance with a number above a.Instances runs.
func (a App) WantActive(t testing.TB) {
	t.Helper()
	a.Machine.WantState(t, "active", append(a.Units(), a.Service(), a.Socket())...)
	active := a.Machine.Sh(t, "systemctl list-units --no-legend --plain --state=active,activating '"+a.Name+"@*'")
	if got := len(Lines(active)); got != a.Instances {
		t.Errorf("%d instances run, want %d:\n%s", got, a.Instances, active)
	}
}

// WantUp fails the test unless the units are active, as in WantActive, and the app answers all requests.
func (a App) WantUp(t testing.TB) {
	t.Helper()
	a.WantActive(t)
	if r := load.Start(t, a.Machine, load.Options{URL: a.URL("/"), Conns: 2, Requests: 50}).Wait(); r.Failed() > 0 {
		t.Errorf("%d requests failed, want 0: %v", r.Failed(), r)
	}
}

// WantDown waits until all units of the app are stopped, and fails the test unless they remain stopped while clients send
// requests. WantDown waits because systemctl stop returns when a.Service() is stopped, while instances may still drain.
// systemd starts a.Service() after the instances, so it stops a.Service() before the instances.
func (a App) WantDown(t testing.TB, b *Bus) {
	t.Helper()
	all := append(a.Units(), a.Service(), a.Socket())
	b.Await(t, "all units are stopped", func(s Status) bool { return s.Active == "inactive" }, all...)
	r := load.Start(t, a.Machine, load.Options{URL: a.URL("/"), Conns: 4, Requests: 300}).Wait()
	if r.Refused != r.Requests {
		t.Errorf("the app is stopped, but %d of %d requests were not refused: %v", r.Requests-r.Refused, r.Requests, r)
	}
	a.Machine.WantState(t, "inactive", all...)
	if jobs := a.Machine.Sh(t, "systemctl list-jobs --no-legend --plain"); strings.Contains(jobs, a.Name) {
		t.Errorf("the app is stopped, but systemd still has jobs for it:\n%s", jobs)
	}
}
