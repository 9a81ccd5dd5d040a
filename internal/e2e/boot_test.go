//go:build lab

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// The list failing holds the names of the failing apps, and the shell commands that their programs run at the start if
// the file "fail" exists.
var failing = []struct{ name, command string }{
	{"at-once", "exit 1"},
	{"soon", "sleep 0.3; exit 1"},
	{"never-ready", "exec sleep infinity"},
}

// TestFailingAppsDoNotDelayBoot boots a machine with failing apps and one app that works. Two failing apps exit at once,
// two exit after 300 ms, and two never become ready. The boot must finish, the working app must answer requests, and
// every command must return.
func TestFailingAppsDoNotDelayBoot(t *testing.T) {
	t.Parallel()
	suite().OwnMachines(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		bootWithFailingApps(t, m)
	})
}

func bootWithFailingApps(t *testing.T, m *kit.Machine) {
	const fail = "/srv/fail"
	var apps []string
	for i, f := range failing {
		for j, kind := range []string{"adopt", "native"} {
			name, port := f.name+"-"+kind, fmt.Sprint(8400+2*i+j)
			flags := []string{"install", name, "-i", "2", "--settle", "0s", "--listen", "127.0.0.1:" + port,
				"--activation", kind, "--start-timeout", "5s"}
			program := "exec python3 -m http.server --bind 127.0.0.1 " + port
			if kind == "native" {
				flags = append(flags, "--ready", "notify")
				program = "exec " + goWorker
			} else {
				flags = append(flags, "--no-probe")
			}
			path := "/opt/e2e/" + name
			m.WriteFile(t, path, "#!/bin/sh\nif [ -e "+fail+" ]; then "+f.command+"; fi\n"+program+"\n", 0o755)
			m.Must(t, append(flags, "--", path)...)
			apps = append(apps, name)
		}
	}
	good := kit.InstallNative(t, m, "good", 2, 8419, "--", goWorker)
	m.WriteFile(t, fail, "", 0o644)

	// The method Reboot waits until systemd reports that the boot has finished.
	m.Reboot(t)
	if got := m.Sh(t, "systemctl show -p FinishTimestampMonotonic --value"); got == "" || got == "0" {
		t.Errorf("FinishTimestampMonotonic is %q, want the time of the end of the boot", got)
	}
	if jobs := m.Sh(t, "systemctl list-jobs --no-legend --plain"); strings.Contains(jobs, "multi-user.target") {
		t.Errorf("jobs of the boot are still queued:\n%s", jobs)
	}
	good.WantUp(t)
	for _, a := range apps {
		m.WantState(t, "active", a+".service", a+".socket")
	}

	clientsDoNotStartApp(t, m, "at-once-native", "http://127.0.0.1:8401/")

	wantExit := func(code int, argv ...string) {
		t.Helper()
		ctx, cancel := patience.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		if r := m.Run(ctx, argv...); r.Code != code {
			t.Errorf("%q: got exit status %d, want %d: %v\n%s", argv, r.Code, code, r, m.Sh(t, "systemctl list-jobs"))
		}
	}
	for _, a := range apps {
		wantExit(0, "systemctl", "start", a)
		wantExit(0, "systemctl", "stop", a)
		wantExit(0, "systemctl", "start", a)
		wantExit(3, kit.Ctl, "start", a)
		wantExit(3, kit.Ctl, "reload", a)
	}
}

// clientsDoNotStartApp connects clients to the open socket of an app in a crash loop. These connections must not start
// the app, and must not reset the number of failures in the backoff file.
func clientsDoNotStartApp(t *testing.T, m *kit.Machine, app, url string) {
	t.Helper()
	failures := func() int {
		t.Helper()
		var n int
		text := m.Sh(t, "sed -n 's/^failures=//p' /run/clusterctl/"+app+"/1.backoff")
		if _, err := fmt.Sscan(text, &n); err != nil {
			t.Fatalf("the number of failures in the backoff file: %q: %v", text, err)
		}
		return n
	}
	before := failures()
	r := load.Start(t, m, load.Options{URL: url, Conns: 8, Duration: 2 * time.Second, Timeout: 3 * time.Second}).Wait()
	if r.OK > 0 || r.Refused > 0 {
		t.Errorf("requests to an app in a crash loop were answered or refused, want only timeouts: %v", r)
	}
	if after := failures(); before == 0 || after < before {
		t.Errorf("failures in the backoff file: %d before the requests, %d after; want at least 1 and no decrease",
			before, after)
	}
	if jobs := m.Sh(t, "systemctl list-jobs --no-legend --plain"); strings.Contains(jobs, app+".service") {
		t.Errorf("the connections have queued a start job for the app:\n%s", jobs)
	}
}
