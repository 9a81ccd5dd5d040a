//go:build lab

package e2e

import (
	"bufio"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// TestListSixtyInstances runs ls with 3 apps of 20 instances each, and counts the calls to systemd. clusterctl ls must
// send at most one call for each unit and four other calls, and must not list all units of the machine.
func TestListSixtyInstances(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		if r := m.Must(t, "ls", "--json"); strings.Join(strings.Fields(r.Stdout), "") != `{"schema":1,"apps":[]}` {
			t.Errorf("clusterctl ls --json without apps: want an empty list: %s", r.Stdout)
		}
		for i, name := range []string{"many-a", "many-b", "many-c"} {
			kit.InstallNative(t, m, name, 20, 8170+i, "--sandbox", "off", "--ready", "exec", "--settle", "0s",
				"--", "/bin/sleep", "infinity")
		}
		calls := countCalls(t, m, func() {
			apps := listApps(t, m)
			if len(apps) != 3 {
				t.Fatalf("clusterctl ls prints %d apps, want 3", len(apps))
			}
			for i, a := range apps {
				if want := fmt.Sprintf("many-%c", 'a'+i); a.Name != want || a.State != "running" || a.Ready != 20 ||
					a.Wanted != 20 || len(a.Instances) != 20 {
					t.Errorf("clusterctl ls: want the app %s with 20 running instances: %+v", want, a)
				}
				for k, in := range a.Instances {
					if in.Instance != k+1 || in.State != "running" || in.PID == 0 || in.Unit != fmt.Sprintf("%s@%d.service", a.Name, k+1) {
						t.Errorf("clusterctl ls: want the running instance %d of %s: %+v", k+1, a.Name, in)
					}
				}
			}
		})
		t.Logf("calls to systemd: %v", calls)
		// Each app has a main service, a socket and 20 instances. clusterctl ls also sends one call for the pending jobs,
		// and a few calls for the connection.
		const units = 3 * 22
		total := 0
		for member, n := range calls {
			total += n
			if strings.HasPrefix(member, "ListUnits") && member != "ListUnitsByNames" || member == "Introspect" {
				t.Errorf("clusterctl ls calls %s %d times, want no call", member, n)
			}
		}
		if calls["GetAll"] > units || calls["ListUnitsByNames"] > 1 || total > units+4 {
			t.Errorf("clusterctl ls sends %d calls, want at most %d: %v", total, units+4, calls)
		}
		if out := m.Must(t, "ls").Stdout; !regexp.MustCompile(`(?m)^many-b +20/20 `).MatchString(out) {
			t.Errorf("clusterctl ls does not print many-b with 20/20 instances:\n%s", out)
		}
	})
}

// countCalls calls f, and returns the number of calls of each method that systemd has received over the system bus while
// f ran.
func countCalls(t testing.TB, m *kit.Machine, f func()) map[string]int {
	t.Helper()
	const marker = "e2e-marker.service"
	ctx, cancel := patience.WithTimeout(t.Context(), kit.EventTimeout)
	defer cancel()
	cmd := m.Command(ctx, "stdbuf", "-oL", "busctl", "monitor", kit.SystemdName)
	out, err := cmd.StdoutPipe()
	if err == nil {
		cmd.Stderr = cmd.Stdout
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	b := kit.DialBus(t, m)
	calls := make(map[string]int)
	member := regexp.MustCompile(`\bMember=(\w+)`)
	isCall, started := false, false
	for s := bufio.NewScanner(out); s.Scan(); {
		line := s.Text()
		switch {
		case strings.Contains(line, "Monitoring bus message stream"):
			started = true
			f()
			_ = b.Call("GetUnit", marker) // this call marks the end of the count; the unit does not exist
		case strings.Contains(line, "Type="):
			isCall = strings.Contains(line, "Type=method_call")
		case strings.Contains(line, marker):
			cancel()
		case isCall:
			if mm := member.FindStringSubmatch(line); mm != nil {
				calls[mm[1]]++
			}
		}
	}
	_ = cmd.Wait() // returns an error, because cancel has killed the command
	if !started {
		t.Fatal("busctl monitor did not start")
	}
	calls["GetUnit"]-- // do not count the call with the marker
	if calls["GetUnit"] == 0 {
		delete(calls, "GetUnit")
	}
	return calls
}

// TestListShowsProblems runs ls with a stopped app, and with an app of which one instance is in a crash loop.
func TestListShowsProblems(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		m.WriteFile(t, "/opt/e2e/trouble", "#!/bin/sh\nexec "+goWorker+"\n", 0o755)
		a := kit.InstallNative(t, m, "trouble", 2, 8174, "--ready", "notify", "--", "/opt/e2e/trouble")
		kit.InstallNative(t, m, "trouble-not", 1, 8175, "--", goWorker)
		m.Sh(t, "systemctl stop trouble-not")
		m.WriteFile(t, "/opt/e2e/trouble", "#!/bin/sh\necho no more >&2\nexit 9\n", 0o755)
		b := kit.DialBus(t, m)
		m.Sh(t, "systemctl kill -s KILL "+a.Unit(1))
		b.Await(t, "the instance is in a crash loop", func(s kit.Status) bool { return s.Restarts > 1 }, a.Unit(1))
		l := listApps(t, m)
		if len(l) != 2 || l[0].Ready != 1 || l[0].Wanted != 2 || l[0].Restarts < 2 || l[0].State != "degraded" {
			t.Errorf("clusterctl ls: want a degraded app with 1 of 2 instances ready and at least 2 restarts: %+v", l)
		}
		t.Logf("the output of ls and of show:\n%s\n%s", m.Must(t, "ls").Stdout, m.Must(t, "show", "trouble").Stdout)
		if last := l[len(l)-1]; last.Name != "trouble-not" || last.State != "stopped" || last.Ready != 0 {
			t.Errorf("clusterctl ls: want the stopped app trouble-not without ready instances: %+v", last)
		}
	})
}
