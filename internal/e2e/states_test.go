//go:build lab

package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// controlledWorker is a worker that exits at its start if the crash file of its instance exists, and never becomes ready
// if the slow file of its instance exists.
const controlledWorker = `#!/bin/sh
[ -e /opt/e2e/moody.crash.$INSTANCE ] && { echo no more >&2; exit 9; }
[ -e /opt/e2e/moody.slow.$INSTANCE ] && exec sleep 300
exec ` + goWorker + "\n"

// TestStateOfEachInstance runs ls with an app whose instances are in five different states, and with an app of which one
// instance has reached --max-restarts.
func TestStateOfEachInstance(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		m.WriteFile(t, "/opt/e2e/moody", controlledWorker, 0o755)
		m.Sh(t, "rm -f /opt/e2e/moody.*")
		t.Cleanup(func() { m.Sh(t, "rm -f /opt/e2e/moody.*; systemctl unmask moody@4.service tired@1.service") })
		a := kit.InstallNative(t, m, "moody", 5, 8311, "--ready", "notify", "--start-timeout", "10m", "--", "/opt/e2e/moody")
		tired := kit.InstallNative(t, m, "tired", 2, 8312, "--ready", "notify", "--max-restarts", "2", "--", "/opt/e2e/moody")
		b := kit.DialBus(t, m)
		// The exit status must match, because a unit is also in the state failed for a moment between two runs. NRestarts
		// must not be used: its value was once 4 instead of 3, perhaps because systemctl mask runs a daemon-reload.
		gaveUp := func(s kit.Status) bool { return s.Active == "failed" && s.Exit == contract.StatusGaveUp }
		m.Sh(t, `touch /opt/e2e/moody.crash.2 /opt/e2e/moody.slow.5 /opt/e2e/moody.crash.1
			systemctl kill -s KILL moody@2.service tired@1.service
			clusterctl stop moody@3 moody@4
			systemctl mask moody@4.service
			systemctl restart --no-block moody@5.service`)
		b.Await(t, "the instance is in a crash loop", func(s kit.Status) bool { return s.Restarts > 7 }, a.Unit(2))
		b.Await(t, "the instance has reached --max-restarts", gaveUp, tired.Unit(1))

		// Between two delays, an instance in a crash loop is starting or stopping for a moment.
		inCrashLoop := func(in instanceStatus) bool {
			return slices.Contains([]string{"restarting", "starting", "stopping"}, in.State)
		}
		var loop instanceStatus
		kit.Poll(t, "ls prints the time of the next restart", func() bool {
			loop = listApps(t, m, "--no-cpu", "moody")[0].Instances[1]
			if !inCrashLoop(loop) {
				t.Fatalf("clusterctl ls: the state of an instance in a crash loop must be restarting, starting or stopping: %+v", loop)
			}
			return loop.NextRestart != ""
		})
		// LastExit may end with " after DURATION".
		exit, _, _ := strings.Cut(loop.LastExit, " after ")
		if loop.State != "restarting" || exit != "exited with status 9" || loop.Problem != loop.LastExit || loop.Restarts < 8 {
			t.Errorf("clusterctl ls: want a restarting instance with the last exit and at least 8 restarts: %+v", loop)
		}
		apps := listApps(t, m)
		text := m.Must(t, "ls").Stdout + m.Must(t, "ls", "-a").Stdout
		t.Log(text)
		if moody := apps[0]; moody.State != "degraded" || moody.Ready != 1 || moody.Wanted != 5 ||
			!strings.HasPrefix(moody.Problem, "moody@") {
			t.Errorf("clusterctl ls: want a degraded app with 1 of 5 instances and a problem: %+v", moody)
		}
		for i, want := range []string{"running", "", "stopped", "masked", "starting"} {
			if in := apps[0].Instances[i]; want != "" && in.State != want {
				t.Errorf("clusterctl ls: want the state %s of instance %d: %+v", want, i+1, in)
			}
		}
		if tired := apps[1]; tired.State != "degraded" || tired.Ready != 1 || tired.Instances[0].State != "gave up" ||
			!strings.Contains(tired.Instances[0].Problem, "gave up after too many short runs") {
			t.Errorf("clusterctl ls: want a degraded app with 1 of 2 instances, and instance 1 in the state \"gave up\": %+v", tired)
		} else if exit, _, _ := strings.Cut(tired.Instances[0].LastExit, " after "); exit != "exited with status 9" {
			t.Errorf("clusterctl ls: want the last exit \"exited with status 9\" of instance 1: %+v", tired.Instances[0])
		}
		for _, want := range []string{"degraded 1/5", "degraded 1/2", "gave up", "stopped", "masked", "starting"} {
			if !strings.Contains(text, want) {
				t.Errorf("clusterctl ls does not print %q:\n%s", want, text)
			}
		}
		if s := parseApp(t, m.Must(t, "show", "moody", "--json").Stdout); s.Instances[3].Problem != "it is masked" {
			t.Errorf("clusterctl show: want the problem \"it is masked\" of instance 4: %+v", s.Instances[3])
		}
		out := m.MustAsNobody(t, "ls", "moody", "--json").Stdout
		if in := parseApps(t, out)[0].Instances[1]; !inCrashLoop(in) {
			t.Errorf("clusterctl ls as an unprivileged user: want restarting, starting or stopping for instance 2: %+v", in)
		}

		// Stop the app "moody", and let the second instance of the app "tired" reach --max-restarts.
		m.Sh(t, "clusterctl stop moody; touch /opt/e2e/moody.crash.2; systemctl kill -s KILL tired@2.service")
		b.Await(t, "the instance has reached --max-restarts", gaveUp, tired.Unit(2))
		apps = listApps(t, m)
		if apps[0].State != "stopped" || apps[0].Queue != nil {
			t.Errorf("clusterctl ls: want a stopped app without a queue: %+v", apps[0])
		}
		if apps[1].State != "gave up" {
			t.Errorf("clusterctl ls: want the state \"gave up\" of the app: %+v", apps[1])
		}
	})
}

// The constant unmodified is a Node server that exits at its start if a file exists. With Node's default
// keepAliveTimeout of 5 s, the server would close connections before the test has counted them on a busy machine.
const unmodified = `
if (require("fs").existsSync("/opt/e2e/adopted.crash")) process.exit(7);
const s = require("http").createServer((q, a) => { a.setHeader("X-Worker", process.pid); a.end("x\n"); });
s.keepAliveTimeout = 600000;
s.listen(8324);
`

// TestStateOfAdoptedInstances runs ls as root and as an unprivileged user while an instance of an adopted app is in a
// crash loop. In both cases, clusterctl ls must print the state restarting.
func TestStateOfAdoptedInstances(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		m.WriteFile(t, "/opt/e2e/unmodified.js", unmodified, 0o644)
		m.Sh(t, "rm -f /opt/e2e/adopted.crash")
		t.Cleanup(func() { m.Sh(t, "rm -f /opt/e2e/adopted.crash") })
		a := kit.Install(t, m, "adopted", 2, 0, "adopted", "--listen", "8324", "--settle", "0s", "--no-node-preload",
			"--", "/usr/bin/node", "/opt/e2e/unmodified.js")
		counts := connect(t, m, `[["AF_INET",["127.0.0.1",8324],5,true]]`)
		l := listApps(t, m, "adopted")[0]
		if l.Connections == nil || *l.Connections != 5 || l.Queue == nil || l.Memory == nil || *l.Memory < 20<<20 {
			t.Errorf("clusterctl ls: want 5 connections, a queue, and at least 20 MiB of memory: %+v", l)
		}
		for _, in := range l.Instances {
			if in.Connections == nil || *in.Connections != counts[in.PID] {
				t.Errorf("clusterctl ls: want %d connections of %+v", counts[in.PID], in)
			}
		}
		b := kit.DialBus(t, m)
		m.Sh(t, "touch /opt/e2e/adopted.crash; systemctl kill -s KILL "+a.Unit(1))
		b.Await(t, "the instance is in a crash loop", func(s kit.Status) bool { return s.Restarts > 5 }, a.Unit(1))
		list := map[string]func() instanceStatus{
			"root": func() instanceStatus { return listApps(t, m, "--no-cpu", "adopted@1")[0].Instances[0] },
			"nobody": func() instanceStatus {
				return parseApps(t, m.MustAsNobody(t, "ls", "--no-cpu", "adopted@1", "--json").Stdout)[0].Instances[0]
			},
		}
		for user, listInstance := range list {
			var in instanceStatus
			kit.Poll(t, "the state is restarting", func() bool {
				in = listInstance()
				return in.State == "restarting"
			})
			if in.State != "restarting" ||
				user == "root" && (in.NextRestart == "" || !strings.HasPrefix(in.LastExit, "exited with status 7")) {
				t.Errorf("clusterctl ls as %s: want the state restarting, and as root also the next restart and the last exit: %+v",
					user, in)
			}
		}
		if out := m.Must(t, "show", "adopted").Stdout; !strings.Contains(out, "degraded 1/2") {
			t.Errorf("clusterctl show does not print degraded 1/2:\n%s", out)
		}
		m.Sh(t, "rm /opt/e2e/adopted.crash")
		b.Await(t, "the instance runs again", kit.Status.IsActive, a.Unit(1))
		if text := m.Sh(t, "systemctl show -p StatusText --value "+a.Unit(1)); text != "" {
			t.Errorf("the StatusText of a running instance is %q, want none", text)
		}
	})
}
