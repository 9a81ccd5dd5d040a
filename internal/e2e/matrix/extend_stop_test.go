//go:build lab

package matrix

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// installHolder installs a worker that ignores SIGTERM and keeps asking systemd for more time.
func installHolder(t testing.TB, m *kit.Machine, kind string, n int) kit.App {
	t.Helper()
	name := "h-" + kind
	args := []string{"--env", "NAME=" + name, "--drain-timeout", "1s", "--stop-timeout", "2s",
		"--start-timeout", patience.For(4 * time.Second).String()}
	if kind == "native" {
		args = append(args, "--no-listen", "--activation", "native", "--ready", "notify", "holder.py")
	} else {
		args = append(args, portFlags(n, "holder.py")...)
	}
	return install(t, m, name, 1, n, args...)
}

// killedLine is in the output of a command when an instance had to be killed. inTime is in the output when systemd or the
// guard of the shim has killed it, and not the timeout of the command.
const (
	killedLine = "killed (SIGKILL)"
	inTime     = "after SIGTERM; killed (SIGKILL)"
)

// TestWorkerCannotExtendItsStop: a worker cannot extend its stop, whichever command stops it. Since 254, systemd ignores
// the requests of the worker. Before 254, the guard that ExecStop= starts kills the worker.
func TestWorkerCannotExtendItsStop(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		for i, kind := range []string{"adopted", "native"} {
			a := installHolder(t, m, kind, 8741+i)
			for _, args := range [][]string{{"stop", a.Name + "@1"}, {"stop", a.Name}, {"restart", a.Name + "@1"},
				{"reload", a.Name, "--json"}} {
				m.Must(t, "start", a.Name)
				pid := m.MainPID(t, a.Unit(1))
				got := m.Clusterctl(t, args...)
				if m.Try("test -e /proc/"+strconv.Itoa(pid)).Code == 0 {
					t.Errorf("%s, %v: the worker still runs", kind, args)
				}
				if got.Code != 3 || !strings.Contains(got.Stderr, inTime) {
					t.Errorf("%s, %v: want exit status 3 and a kill in time\n%v", kind, args, got)
				}
			}
			// After a daemon-reload, systemd still ignores the requests of the worker.
			m.Sh(t, "systemctl daemon-reload && systemctl stop "+a.Unit(1))
			if s := a.Machine.Property(t, a.Unit(1), "ActiveState"); s != "failed" && s != "inactive" {
				t.Errorf("%s: after systemctl stop the unit is %s", kind, s)
			}
			m.Must(t, "start", a.Name)
			mustOrKill(t, m, "stop", a.Name)
			a.Uninstall(t)
		}
	})
}

// TestWorkerCannotExtendItsStart: a worker that never gets ready cannot extend a start or a stop by clusterctl.
func TestWorkerCannotExtendItsStart(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		m.Sh(t, "mkdir -p "+srv+"/crash")
		runConcurrently(t, 2, []kindName{"adopted", "native"}, func(t *testing.T, kind kindName) {
			a := installHolder(t, m, string(kind), 8743)
			never := srv + "/crash/" + a.Name + "-never"
			m.Sh(t, "touch "+never)
			t.Cleanup(func() { m.Sh(t, "rm -f "+never) })
			if got := m.Clusterctl(t, "restart", a.Name+"@1"); got.Code == 0 || !strings.Contains(got.Stderr, killedLine) {
				t.Errorf("the start succeeded: %v", got)
			}
			mustOrKill(t, m, "stop", a.Name)
			m.Sh(t, "systemctl start --no-block "+a.Unit(1))
			mustOrKill(t, m, "stop", a.Name)
			if s := a.Machine.Property(t, a.Unit(1), "MainPID"); s != "0" {
				t.Errorf("the app is stopped, but process %s still runs", s)
			}
			a.Uninstall(t)
		})
	})
}

// mustOrKill runs a command. It fails the test unless the command succeeds, or reports that an instance had to be killed.
func mustOrKill(t testing.TB, m *kit.Machine, args ...string) {
	t.Helper()
	if r := m.Clusterctl(t, args...); r.Code != 0 && (r.Code != 3 || !strings.Contains(r.Stderr, killedLine)) {
		t.Errorf("%v", r)
	}
}

// kindName is the kind of app as the name of a subtest.
type kindName string

func (w kindName) String() string { return string(w) }

// TestStopWithFullRunDirectory: an app can be stopped and uninstalled while /run is full.
func TestStopWithFullRunDirectory(t *testing.T) {
	suite().OwnMachines(t, lab.All(), func(t *testing.T, m *kit.Machine) { // because the test fills /run
		a := install(t, m, "h-full", 2, 8745, portFlags(8745, "--drain-timeout", "1s", "server.py")...)
		m.Sh(t, "mount -o remount,size=64M /run")
		m.Sh(t, "head -c 128M /dev/zero > /run/fill || true")
		if m.Try("echo x > /run/fill.2").Code == 0 {
			t.Fatal("/run is not full")
		}
		m.Must(t, "stop", a.Name)
		for i := range a.Instances {
			if s := a.Machine.Property(t, a.Unit(i+1), "MainPID"); s != "0" {
				t.Errorf("instance %d is stopped, but process %s still runs", i+1, s)
			}
		}
		m.Must(t, "uninstall", "--yes", a.Name)
		if left := m.Sh(t, "ls -d /etc/systemd/system/*h-full* /etc/clusterctl/h-full* /run/clusterctl/h-full* "+
			"2>/dev/null || true"); left != "" {
			t.Errorf("left behind:\n%s", left)
		}
	})
}

// TestWorkerCannotWriteToRun: workers of no kind can write to a directory below /run, also not to one that an earlier
// version made.
func TestWorkerCannotWriteToRun(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		for i, kind := range []struct {
			name  string
			flags []string
		}{
			{"adopted", []string{"--run-as", "www-data", "server.py"}},
			{"dynamic", []string{"--run-as", "dynamic", "server.py"}},
			{"native", []string{"--run-as", "www-data", "--no-listen", "--activation", "native", "server.py"}},
			{"root", []string{"--run-as", "root", "server.py"}},
		} {
			name := "r-" + kind.name
			a := install(t, m, name, 1, 8746+i, portFlags(8746+i, append([]string{"--drain-timeout", "1s"}, kind.flags...)...)...)
			m.Sh(t, "mkdir -p /run/clusterctl/"+name+" && mkdir -m 777 /run/clusterctl/"+name+"/1") // as an earlier version made it
			m.Must(t, "restart", name)
			if found := m.Sh(t, "find /run/clusterctl /run/private -path '*/private' -prune -o ! -type s \\( ! -user root "+
				"-o -perm /022 \\) -print 2>/dev/null || true"); found != "" {
				t.Errorf("%s: files that not only root can write:\n%s", kind.name, found)
			}
			pid := m.MainPID(t, a.Unit(1))
			ids := m.Sh(t, "awk '/^Uid:/ {u=$2} /^Gid:/ {print u, $2}' /proc/"+strconv.Itoa(pid)+"/status")
			uid, gid, _ := strings.Cut(ids, " ")
			if uid == "0" {
				continue
			}
			writable := m.Sh(t, "nsenter -t "+strconv.Itoa(pid)+" -m setpriv --reuid "+uid+" --regid "+gid+
				" --clear-groups find /run -type d -writable -path '*clusterctl*' 2>/dev/null || true")
			if writable != "" {
				t.Errorf("%s: user %s can write to %s", kind.name, uid, writable)
			}
		}
	})
}
