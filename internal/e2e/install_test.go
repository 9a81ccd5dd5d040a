//go:build lab

package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// about is the worker's answer to /about.
type about struct {
	Args, Env, Listeners []string
	Dir                  string
	UID, GID             int
}

// askAbout returns the answer of a worker to /about. curl is the URL and further arguments of curl.
func askAbout(t testing.TB, m *kit.Machine, curl ...string) about {
	t.Helper()
	r := m.Run(t.Context(), append([]string{"curl", "-fsS", "--max-time", "120"}, curl...)...)
	var a about
	if err := json.Unmarshal([]byte(r.Stdout), &a); r.Code != 0 || err != nil {
		t.Fatalf("curl %q: %v %v", curl, err, r)
	}
	return a
}

// installWithFlags installs a native app with the given flags, and uninstalls it at the end of the test.
func installWithFlags(t testing.TB, m *kit.Machine, name string, more ...string) lab.Result {
	t.Helper()
	t.Cleanup(func() { kit.App{Machine: m, Name: name}.Uninstall(t) })
	return m.Must(t, slices.Concat([]string{"install", name, "--activation", "native", "--settle", "200ms"}, more)...)
}

// TestBackgroundApp installs the example that has no socket.
func TestBackgroundApp(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		installWithFlags(t, m, "ticker", "-i", "2", "--no-listen", "--", "python3", ticker)
		m.WantState(t, "active", "ticker.service", "ticker@1.service", "ticker@2.service")
		if r := m.Try("test -e /etc/systemd/system/ticker.socket"); r.Code == 0 {
			t.Error("a background app has a socket")
		}
		m.AwaitJournal(t, "tick 1", "-u", "ticker@1")
		m.AwaitJournal(t, "tick 1", "CLUSTERCTL_APP=ticker", "CLUSTERCTL_INSTANCE=2")
		if r := m.Try("systemctl show -p NeedDaemonReload --value ticker ticker@1"); strings.Contains(r.Stdout, "yes") {
			t.Error("after an install systemctl asks for a daemon-reload")
		}
		var k killCount
		pid := m.MainPID(t, "ticker@1.service")
		if err := k.kill(t, m, pid); err != nil {
			t.Fatal(err)
		}
		kit.DialBus(t, m).Await(t, "the instance is back", kit.RunsOther(pid), "ticker@1.service")
		// The app runs as a dynamic user, which has no access to this directory on 247.
		if b := m.Sh(t, "cat /run/clusterctl/ticker/1.backoff"); !strings.Contains(b, "failures=1\n") {
			t.Errorf("the backoff file after a kill:\n%s", b)
		}
	})
}

// TestListeners installs an app with a listener of each kind.
func TestListeners(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		t.Cleanup(func() {
			if m.Try("test -e /run/kinds.sock").Code == 0 {
				t.Error("the Unix socket still exists after the uninstall")
			}
		})
		installWithFlags(t, m, "kinds", "-i", "2", "--listen", "8180", "--listen", "127.0.0.1:8181", "--listen", "admin=[::1]:8182",
			"--listen", "/run/kinds.sock", "--listen", "udp:8183", "--listen", "@kinds", "--", worker)
		want := []string{
			"admin tcp [::1]:8182", "http tcp 127.0.0.1:8181", "http tcp [::]:8180", "http unix /run/kinds.sock", "http unix @kinds",
			"udp udp [::]:8183",
		}
		for _, curl := range [][]string{
			{"http://127.0.0.1:8180/about"}, {"http://[::1]:8180/about"}, {"http://127.0.0.1:8181/about"}, {"http://[::1]:8182/about"},
			{"--unix-socket", "/run/kinds.sock", "http://x/about"}, {"--abstract-unix-socket", "kinds", "http://x/about"},
		} {
			a := askAbout(t, m, curl...)
			slices.Sort(a.Listeners)
			if !slices.Equal(a.Listeners, want) {
				t.Errorf("%v: listeners %q, want %q", curl, a.Listeners, want)
			}
		}
		for _, host := range []string{"127.0.0.1", "::1"} {
			got := m.Sh(t, "python3 -c 'import socket,sys; s=socket.create_connection; h=sys.argv[1]; "+
				"s=socket.socket(socket.AF_INET6 if \":\" in h else socket.AF_INET, socket.SOCK_DGRAM); "+
				"s.settimeout(120); s.sendto(b\"hello\", (h, 8183)); print(s.recv(99).decode())' "+host)
			if !strings.HasSuffix(got, " hello") {
				t.Errorf("a datagram to %s is answered by %q", host, got)
			}
		}
	})
}

// TestIdentityAndDirectory checks the user, the group and the directory of a worker.
func TestIdentityAndDirectory(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		m.Sh(t, "mkdir -p '/srv/run as %h/$HOME' && chown daemon: '/srv/run as %h/$HOME'")
		t.Cleanup(func() { m.Sh(t, "rm -rf '/srv/run as %h'") })
		for _, tt := range []struct {
			args     []string
			uid, gid int // 0 for a dynamic user
			dir      string
		}{
			{args: []string{"--cwd", "/"}, dir: "/"},
			{args: []string{"--run-as", "daemon"}, uid: 1, gid: 1, dir: "/"},
			{args: []string{"--run-as", "daemon:games"}, uid: 1, gid: 60, dir: "/"},
			{args: []string{"--run-as", "1", "--cwd", "/opt/e2e"}, uid: 1, gid: 1, dir: "/opt/e2e"},
			{args: []string{"--cwd", "/srv/run as %h/$HOME"}, uid: 1, gid: 1, dir: "/srv/run as %h/$HOME"}, // the owner of the directory
		} {
			t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
				kit.InstallNative(t, m, "identity", 1, 8184, append(tt.args, "--", worker)...)
				a := askAbout(t, m, "http://127.0.0.1:8184/about")
				dynamic := a.UID >= 61184 && a.UID <= 65519 // systemd.exec(5), DynamicUser=
				if tt.uid == 0 && !dynamic || tt.uid != 0 && (a.UID != tt.uid || a.GID != tt.gid) || a.Dir != tt.dir {
					t.Errorf("%v: uid %d, gid %d in %q", tt.args, a.UID, a.GID, a.Dir)
				}
			})
		}
	})
}

// hostile lists values that must reach a worker unchanged, byte for byte.
var hostile = []string{
	"", " ", "plain", "a b", `"`, `'`, `\`, `\\n`, "%", "%%", "%i %h %n", "$", "$$", "$HOME", "${HOME}", "`id`", "$(id)",
	"a;b", ";", "#", "# no comment",
	"line\nbreak", "tab\tcr\r", "trailing ", " leading", `trailing\`, "=", "a=b", "*", "?", "[a]", "~", "|", "-",
	"--", "@", ":", "!", "+", "é ü 漢 🙂", "\x01\x1b[31m",
}

// TestValuesArriveAsTheyAre passes hostile arguments and variables to a worker.
func TestValuesArriveAsTheyAre(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		m.WriteFile(t, "/srv/hostile env", "FROM_FILE=\"a \\$HOME %h\"\nV1=overridden\n", 0o600)
		t.Cleanup(func() { m.Sh(t, "rm -f '/srv/hostile env'") })
		args := []string{"--env-file", "/srv/hostile env", "--env-file=-/srv/not there"}
		for i, v := range hostile {
			args = append(args, "--env", fmt.Sprintf("V%d=%s", i, v))
		}
		kit.InstallNative(t, m, "hostile", 1, 8185, slices.Concat(args, []string{"--", worker}, hostile)...)
		a := askAbout(t, m, "http://127.0.0.1:8185/about")
		if !slices.Equal(a.Args[1:], hostile) {
			t.Errorf("arguments %q, want %q", a.Args[1:], hostile)
		}
		want := []string{"FROM_FILE=a $HOME %h", "V1=overridden"} // EnvironmentFile= comes after Environment= (systemd.exec(5))
		for i, v := range hostile {
			if i != 1 {
				want = append(want, fmt.Sprintf("V%d=%s", i, v))
			}
		}
		for _, w := range want {
			if !slices.Contains(a.Env, w) {
				t.Errorf("the worker lacks the variable %q", w)
			}
		}
	})
}

// TestMaxFollowsTheMachine changes the CPUs that systemd may use. clusterctl counts those CPUs for max.
func TestMaxFollowsTheMachine(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		var all unix.CPUSet
		if err := unix.SchedGetaffinity(m.InitPID(), &all); err != nil {
			t.Fatal(err)
		}
		if all.Count() < 2 {
			t.Fatal("this test needs two CPUs")
		}
		r := installWithFlags(t, m, "max", "-i", "max", "--listen", "8186", "--", goWorker)
		if want := fmt.Sprintf("(%d CPUs)", all.Count()); !strings.Contains(r.Stdout+r.Stderr, want) {
			t.Errorf("the output lacks the reason %q: %v", want, r)
		}
		wantCount := func(n int) {
			t.Helper()
			a := kit.App{Machine: m, Name: "max", Instances: n, Port: 8186}
			a.WantUp(t)
			if l := listApps(t, m); l[0].Ready != n || l[0].Wanted != n || l[0].State != "running" {
				t.Errorf("with %d CPUs: %+v", n, l[0])
			}
		}
		wantCount(all.Count())
		var one unix.CPUSet
		for cpu := 0; one.Count() == 0; cpu++ {
			if all.IsSet(cpu) {
				one.Set(cpu)
			}
		}
		t.Cleanup(func() { _ = unix.SchedSetaffinity(m.InitPID(), &all) })
		if err := unix.SchedSetaffinity(m.InitPID(), &one); err != nil {
			t.Fatal(err)
		}
		m.Sh(t, "systemctl restart max")
		wantCount(1)
		if err := unix.SchedSetaffinity(m.InitPID(), &all); err != nil {
			t.Fatal(err)
		}
		m.Must(t, "restart", "max")
		wantCount(all.Count())
		if f := m.Sh(t, "systemctl --failed --no-legend --plain"); f != "" {
			t.Errorf("skipped instances count as failed:\n%s", f)
		}
	})
}

// TestDryRun: --dry-run prints the files that an install would write, and changes nothing.
func TestDryRun(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		before := kit.Lines(m.Sh(t, traces))
		args := []string{"install", "dry", "-i", "2", "--listen", "8187", "--activation", "native", "--", goWorker}
		r := m.Must(t, append([]string{"install", "--dry-run"}, args[1:]...)...)
		wantUntouched(t, m, before)
		for _, path := range []string{"dry.service", "dry@.service", "dry.socket", "dry.service.d/50-instances.conf",
			"clusterctl-dry.slice"} {
			if !strings.Contains(r.Stdout, "/etc/systemd/system/"+path) {
				t.Errorf("%s is not shown", path)
			}
		}
		t.Cleanup(func() { kit.App{Machine: m, Name: "dry"}.Uninstall(t) })
		m.Must(t, args...)
		// An install writes exactly these files.
		for _, path := range []string{"dry.service", "dry@.service", "dry.socket", "dry.service.d/50-instances.conf",
			"clusterctl-dry.slice"} {
			if data := m.ReadFile(t, "/etc/systemd/system/"+path); !strings.Contains(r.Stdout, data) {
				t.Errorf("--dry-run does not print %s as it is written:\n%s", path, data)
			}
		}
	})
}

// TestFlagsAnywhere: flags may come before and after the name. Everything after "--" belongs to the program.
func TestFlagsAnywhere(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		t.Cleanup(func() { kit.App{Machine: m, Name: "flags"}.Uninstall(t) })
		m.Must(t, "--quiet", "install", "--activation=native", "--listen=8188", "flags", "-i", "2", "--env", "A=1,2",
			"--", worker, "-i", "7", "--", "--listen", "9999")
		a := askAbout(t, m, "http://127.0.0.1:8188/about")
		if want := []string{"-i", "7", "--", "--listen", "9999"}; !slices.Equal(a.Args[1:], want) {
			t.Errorf("arguments %q, want %q", a.Args[1:], want)
		}
		if !slices.Contains(a.Env, "A=1,2") {
			t.Errorf("A=1,2 is not in %q", a.Env)
		}
		kit.App{Machine: m, Name: "flags", Instances: 2, Port: 8188}.WantUp(t)
		r := m.Must(t, "uninstall", "flags", "--yes", "-q")
		if r.Stdout+r.Stderr != "" {
			t.Errorf("--quiet prints %q", r.Stdout+r.Stderr)
		}
	})
}
