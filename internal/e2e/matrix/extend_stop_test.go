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

// installHolder installs holder.py, a worker that ignores SIGTERM and sends EXTEND_TIMEOUT_USEC= again and again.
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

// killedLine is in the output of a command if an instance was killed. inTime is in the output only if systemd or the
// guard process of the shim has killed the instance after its stop timeout.
const (
	killedLine = "killed (SIGKILL)"
	inTime     = "after SIGTERM; killed (SIGKILL)"
)

// TestWorkerCannotExtendItsStop stops a worker that tries to extend its stop timeout, with each command of clusterctl
// that stops workers, and with systemctl. The stop must end within the configured timeout. Since version 254, systemd
// ignores the notifications of the worker. With earlier versions, ExecStop= starts a guard process that kills the worker.
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
					t.Errorf("%s: the worker still runs after clusterctl %v", kind, args)
				}
				if got.Code != 3 || !strings.Contains(got.Stderr, inTime) {
					t.Errorf("%s: clusterctl %v: want exit status 3 and %q on stderr: %v", kind, args, inTime, got)
				}
			}
			// After a daemon-reload, systemd must still ignore the notifications of the worker.
			m.Sh(t, "systemctl daemon-reload && systemctl stop "+a.Unit(1))
			if s := a.Machine.Property(t, a.Unit(1), "ActiveState"); s != "failed" && s != "inactive" {
				t.Errorf("%s: %s is %s after systemctl stop, want failed or inactive", kind, a.Unit(1), s)
			}
			m.Must(t, "start", a.Name)
			mustOrReportKill(t, m, "stop", a.Name)
			a.Uninstall(t)
		}
	})
}

// TestWorkerCannotExtendItsStart starts a worker that never becomes ready, and that tries to extend its start timeout. A
// restart must fail after the configured timeout. clusterctl stop must also stop a worker that is still starting.
func TestWorkerCannotExtendItsStart(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		m.Sh(t, "mkdir -p "+srv+"/crash")
		runConcurrently(t, 2, []kindName{"adopted", "native"}, func(t *testing.T, kind kindName) {
			a := installHolder(t, m, string(kind), 8743)
			never := srv + "/crash/" + a.Name + "-never"
			m.Sh(t, "touch "+never)
			t.Cleanup(func() { m.Sh(t, "rm -f "+never) })
			if got := m.Clusterctl(t, "restart", a.Name+"@1"); got.Code == 0 || !strings.Contains(got.Stderr, killedLine) {
				t.Errorf("restart of a worker that never becomes ready: want an error and %q: %v", killedLine, got)
			}
			mustOrReportKill(t, m, "stop", a.Name)
			m.Sh(t, "systemctl start --no-block "+a.Unit(1))
			mustOrReportKill(t, m, "stop", a.Name)
			if s := a.Machine.Property(t, a.Unit(1), "MainPID"); s != "0" {
				t.Errorf("process %s still runs after clusterctl stop", s)
			}
			a.Uninstall(t)
		})
	})
}

// mustOrReportKill runs clusterctl. The test fails unless clusterctl succeeds, or fails with exit status 3 and reports
// that an instance was killed.
func mustOrReportKill(t testing.TB, m *kit.Machine, args ...string) {
	t.Helper()
	if r := m.Clusterctl(t, args...); r.Code != 0 && (r.Code != 3 || !strings.Contains(r.Stderr, killedLine)) {
		t.Errorf("clusterctl %q: want success or a killed instance: %v", args, r)
	}
}

// kindName is the name of a kind of app and of its subtest.
type kindName string

func (w kindName) String() string { return string(w) }

// TestStopWithFullRunDirectory stops and uninstalls an app while the file system of /run is full.
func TestStopWithFullRunDirectory(t *testing.T) {
	suite().OwnMachines(t, lab.All(), func(t *testing.T, m *kit.Machine) { // the test fills /run, so it needs its own machines
		a := install(t, m, "h-full", 2, 8745, portFlags(8745, "--drain-timeout", "1s", "server.py")...)
		m.Sh(t, "mount -o remount,size=64M /run")
		m.Sh(t, "head -c 128M /dev/zero > /run/fill || true")
		if m.Try("echo x > /run/fill.2").Code == 0 {
			t.Fatal("a file in /run can still be written, want a full file system")
		}
		m.Must(t, "stop", a.Name)
		for i := range a.Instances {
			if s := a.Machine.Property(t, a.Unit(i+1), "MainPID"); s != "0" {
				t.Errorf("process %s of instance %d still runs after the stop", s, i+1)
			}
		}
		m.Must(t, "uninstall", "--yes", a.Name)
		if files := m.Sh(t, "ls -d /etc/systemd/system/*h-full* /etc/clusterctl/h-full* /run/clusterctl/h-full* "+
			"2>/dev/null || true"); files != "" {
			t.Errorf("files of the app exist after the uninstall:\n%s", files)
		}
	})
}

// TestWorkerCannotWriteToRun checks for each kind of app that its worker cannot write to a directory of clusterctl below
// /run, also if an earlier version has created this directory with mode 777.
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
			m.Sh(t, "mkdir -p /run/clusterctl/"+name+" && mkdir -m 777 /run/clusterctl/"+name+"/1") // as an earlier version did
			m.Must(t, "restart", name)
			if found := m.Sh(t, "find /run/clusterctl /run/private -path '*/private' -prune -o ! -type s \\( ! -user root "+
				"-o -perm /022 \\) -print 2>/dev/null || true"); found != "" {
				t.Errorf("%s: users other than root can write to these files:\n%s", kind.name, found)
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
				t.Errorf("%s: the worker's user %s can write to %s", kind.name, uid, writable)
			}
		}
	})
}
