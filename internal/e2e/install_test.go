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

// aboutResponse holds the fields of the JSON document that a worker sends for GET /about.
type aboutResponse struct {
	Args, Env, Listeners []string
	Dir                  string
	UID, GID             int
}

// getAbout requests /about from a worker with curl. The parameter args contains the arguments of curl, including the URL.
func getAbout(t testing.TB, m *kit.Machine, args ...string) aboutResponse {
	t.Helper()
	r := m.Run(t.Context(), append([]string{"curl", "-fsS", "--max-time", "120"}, args...)...)
	var a aboutResponse
	if err := json.Unmarshal([]byte(r.Stdout), &a); r.Code != 0 || err != nil {
		t.Fatalf("curl %q: want a JSON document: %v %v", args, err, r)
	}
	return a
}

// installWithFlags installs a native app with the given flags, and uninstalls it at the end of the test.
func installWithFlags(t testing.TB, m *kit.Machine, name string, more ...string) lab.Result {
	t.Helper()
	t.Cleanup(func() { kit.App{Machine: m, Name: name}.Uninstall(t) })
	return m.Must(t, slices.Concat([]string{"install", name, "--activation", "native", "--settle", "200ms"}, more)...)
}

// TestBackgroundApp installs an app without a socket, and kills one of its instances. systemd must restart the instance,
// and the backoff file must count one failure.
func TestBackgroundApp(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		installWithFlags(t, m, "ticker", "-i", "2", "--no-listen", "--", "python3", ticker)
		m.WantState(t, "active", "ticker.service", "ticker@1.service", "ticker@2.service")
		if r := m.Try("test -e /etc/systemd/system/ticker.socket"); r.Code == 0 {
			t.Error("ticker.socket exists, want no socket unit for a background app")
		}
		m.AwaitJournal(t, "tick 1", "-u", "ticker@1")
		m.AwaitJournal(t, "tick 1", "CLUSTERCTL_APP=ticker", "CLUSTERCTL_INSTANCE=2")
		if r := m.Try("systemctl show -p NeedDaemonReload --value ticker ticker@1"); strings.Contains(r.Stdout, "yes") {
			t.Error("NeedDaemonReload is yes after the install, want no")
		}
		var k killCount
		pid := m.MainPID(t, "ticker@1.service")
		if err := k.countAndKill(t, m, pid); err != nil {
			t.Fatal(err)
		}
		kit.DialBus(t, m).Await(t, "the instance runs again", kit.RunsOther(pid), "ticker@1.service")
		// The shim must be able to write the backoff file of an app with a dynamic user, also with systemd 247.
		if b := m.Sh(t, "cat /run/clusterctl/ticker/1.backoff"); !strings.Contains(b, "failures=1\n") {
			t.Errorf("the backoff file after one kill: want failures=1, got:\n%s", b)
		}
	})
}

// TestListeners installs an app with a listener of each kind, and sends a request to each listener.
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
			a := getAbout(t, m, curl...)
			slices.Sort(a.Listeners)
			if !slices.Equal(a.Listeners, want) {
				t.Errorf("the worker that accepted %v has the listeners %q, want %q", curl, a.Listeners, want)
			}
		}
		for _, host := range []string{"127.0.0.1", "::1"} {
			got := m.Sh(t, "python3 -c 'import socket,sys; s=socket.create_connection; h=sys.argv[1]; "+
				"s=socket.socket(socket.AF_INET6 if \":\" in h else socket.AF_INET, socket.SOCK_DGRAM); "+
				"s.settimeout(120); s.sendto(b\"hello\", (h, 8183)); print(s.recv(99).decode())' "+host)
			if !strings.HasSuffix(got, " hello") {
				t.Errorf("the response to a datagram to %s is %q, want a text that ends with \"hello\"", host, got)
			}
		}
	})
}

// TestIdentityAndDirectory checks the user, the group and the working directory of a worker.
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
				a := getAbout(t, m, "http://127.0.0.1:8184/about")
				dynamic := a.UID >= 61184 && a.UID <= 65519 // systemd.exec(5), DynamicUser=
				if tt.uid == 0 && !dynamic || tt.uid != 0 && (a.UID != tt.uid || a.GID != tt.gid) || a.Dir != tt.dir {
					t.Errorf("got uid %d and gid %d in %q, want %d and %d in %q (0 means a dynamic user)",
						a.UID, a.GID, a.Dir, tt.uid, tt.gid, tt.dir)
				}
			})
		}
	})
}

// specialValues lists arguments and values of variables with characters that systemd or a shell would interpret.
var specialValues = []string{
	"", " ", "plain", "a b", `"`, `'`, `\`, `\\n`, "%", "%%", "%i %h %n", "$", "$$", "$HOME", "${HOME}", "`id`", "$(id)",
	"a;b", ";", "#", "# no comment",
	"line\nbreak", "tab\tcr\r", "trailing ", " leading", `trailing\`, "=", "a=b", "*", "?", "[a]", "~", "|", "-",
	"--", "@", ":", "!", "+", "é ü 漢 🙂", "\x01\x1b[31m",
}

// TestValuesArriveUnchanged passes special values to a worker as arguments and as variables. The worker must receive
// exactly these bytes.
func TestValuesArriveUnchanged(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		m.WriteFile(t, "/srv/hostile env", "FROM_FILE=\"a \\$HOME %h\"\nV1=overridden\n", 0o600)
		t.Cleanup(func() { m.Sh(t, "rm -f '/srv/hostile env'") })
		args := []string{"--env-file", "/srv/hostile env", "--env-file=-/srv/not there"}
		for i, v := range specialValues {
			args = append(args, "--env", fmt.Sprintf("V%d=%s", i, v))
		}
		kit.InstallNative(t, m, "hostile", 1, 8185, slices.Concat(args, []string{"--", worker}, specialValues)...)
		a := getAbout(t, m, "http://127.0.0.1:8185/about")
		if !slices.Equal(a.Args[1:], specialValues) {
			t.Errorf("got the arguments %q, want %q", a.Args[1:], specialValues)
		}
		want := []string{"FROM_FILE=a $HOME %h", "V1=overridden"} // EnvironmentFile= overrides Environment=
		for i, v := range specialValues {
			if i != 1 {
				want = append(want, fmt.Sprintf("V%d=%s", i, v))
			}
		}
		for _, w := range want {
			if !slices.Contains(a.Env, w) {
				t.Errorf("the environment of the worker does not contain %q", w)
			}
		}
	})
}

// TestMaxFollowsTheMachine installs an app with "-i max", and changes the number of CPUs that systemd may use. After a
// restart, the app must have one instance per CPU.
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
			t.Errorf("the output of install does not contain %q: %v", want, r)
		}
		wantCount := func(n int) {
			t.Helper()
			a := kit.App{Machine: m, Name: "max", Instances: n, Port: 8186}
			a.WantUp(t)
			if l := listApps(t, m); l[0].Ready != n || l[0].Wanted != n || l[0].State != "running" {
				t.Errorf("want %[1]d of %[1]d instances ready and the state running: %+v", n, l[0])
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
			t.Errorf("units have failed, want none:\n%s", f)
		}
	})
}

// TestDryRun checks that --dry-run prints the files that an install writes, and does not change the machine.
func TestDryRun(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		before := kit.Lines(m.Sh(t, traces))
		args := []string{"install", "dry", "-i", "2", "--listen", "8187", "--activation", "native", "--", goWorker}
		r := m.Must(t, append([]string{"install", "--dry-run"}, args[1:]...)...)
		wantUntouched(t, m, before)
		for _, path := range []string{"dry.service", "dry@.service", "dry.socket", "dry.service.d/50-instances.conf",
			"clusterctl-dry.slice"} {
			if !strings.Contains(r.Stdout, "/etc/systemd/system/"+path) {
				t.Errorf("--dry-run does not print the path of %s:\n%s", path, r.Stdout)
			}
		}
		t.Cleanup(func() { kit.App{Machine: m, Name: "dry"}.Uninstall(t) })
		m.Must(t, args...)
		// The files that an install writes must have the contents that --dry-run has printed.
		for _, path := range []string{"dry.service", "dry@.service", "dry.socket", "dry.service.d/50-instances.conf",
			"clusterctl-dry.slice"} {
			if data := m.ReadFile(t, "/etc/systemd/system/"+path); !strings.Contains(r.Stdout, data) {
				t.Errorf("clusterctl install writes %s with other contents than --dry-run prints:\n%s", path, data)
			}
		}
	})
}

// TestFlagsAnywhere checks that flags may precede or follow the name of the app, and that clusterctl passes all words
// after "--" to the program.
func TestFlagsAnywhere(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		t.Cleanup(func() { kit.App{Machine: m, Name: "flags"}.Uninstall(t) })
		m.Must(t, "--quiet", "install", "--activation=native", "--listen=8188", "flags", "-i", "2", "--env", "A=1,2",
			"--", worker, "-i", "7", "--", "--listen", "9999")
		a := getAbout(t, m, "http://127.0.0.1:8188/about")
		if want := []string{"-i", "7", "--", "--listen", "9999"}; !slices.Equal(a.Args[1:], want) {
			t.Errorf("got the arguments %q, want %q", a.Args[1:], want)
		}
		if !slices.Contains(a.Env, "A=1,2") {
			t.Errorf("the environment of the worker does not contain A=1,2: %q", a.Env)
		}
		kit.App{Machine: m, Name: "flags", Instances: 2, Port: 8188}.WantUp(t)
		r := m.Must(t, "uninstall", "flags", "--yes", "-q")
		if r.Stdout+r.Stderr != "" {
			t.Errorf("uninstall --quiet printed %q, want no output", r.Stdout+r.Stderr)
		}
	})
}
