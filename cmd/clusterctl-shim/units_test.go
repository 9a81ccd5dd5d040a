package main

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/units"
)

// unitApps returns apps whose units contain every flag of the shim that a unit can have.
func unitApps(dir string) []units.App {
	shim := units.ShimOptions{
		Increment: []units.EnvVar{{Name: "PORT", Value: "3000"}}, Pin: true, MinUptime: 2 * time.Second,
		HoldAccept: true, OwnPtrace: true,
	}
	host := netip.MustParseAddr("127.0.0.1")
	adopted := units.App{
		Name: "adopted", Command: []string{"/bin/sh", "-c", "true"}, Directory: dir, Shim: shim, SecretEnv: []string{"TOKEN"},
		Listen: []units.Listener{
			{Port: 80, Bind: 3000}, {Network: units.UDP, Port: 53, Host: host}, {Network: units.Unix, Path: dir + "/a.sock"},
		},
		EnvFiles: []units.EnvFile{{Path: dir + "/env", Optional: true, ByWorker: true}},
		Socket:   units.SocketAccess{User: "root", Group: "root", Mode: 0o660}, RunAs: units.RunAs{User: "www-data"},
	}
	native := units.App{
		Name: "native", Command: []string{"/bin/true"}, Activation: units.Native, Ready: units.ReadyNotify,
		Listen: []units.Listener{{Port: 80}, {Port: 81, Host: host}}, Shim: units.ShimOptions{MaxRestarts: 3},
		Timeouts: units.Timeouts{Start: 10 * time.Second, Drain: time.Minute, Stop: time.Second},
	}
	background := units.App{
		Name: "background", Command: []string{"/bin/true"}, Ready: units.ReadyNotify, Shim: units.ShimOptions{MaxRestarts: 3},
	}
	return []units.App{adopted, native, background}
}

// TestUnits: the shim accepts all its command lines in the rendered units.
func TestUnits(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "TOKEN"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, a := range unitApps(dir) {
		target := units.Target{
			Systemd: units.OldestSystemd, Sizing: units.Sizing{Want: 1, Listed: 1}, Source: "/etc/clusterctl/x.yaml",
			Shim: units.DefaultShim,
		}
		set, err := units.Render(a, target)
		if err != nil {
			t.Fatal(err)
		}
		probe, err := units.RenderProbe(a, target, contract.ProbeTimeout, contract.ProbeIdle)
		if err != nil {
			t.Fatal(err)
		}
		lines := 0
		for _, f := range append(set, probe) {
			for line := range strings.Lines(string(f.Data)) {
				if _, words, found := strings.Cut(line, units.DefaultShim+" "); found && strings.HasPrefix(line, "Exec") {
					lines++
					checkCommand(t, dir, strings.TrimSpace(words))
				}
			}
		}
		if lines < 3 {
			t.Errorf("the units of %s contain %d commands of the shim, want at least 3", a.Name, lines)
		}
	}
}

// checkCommand runs a command of a unit and checks that the shim accepts its flags.
func checkCommand(t *testing.T, dir, words string) {
	t.Helper()
	plain := strings.NewReplacer("%i", "1", "%n", "x@1.service", contract.RunDirectory, dir, `"`, "", "'", "").Replace(words)
	args := strings.Fields(plain)
	drain := args[0] == "drain"
	if drain {
		// Add an invalid argument. "drain" first accepts all flags, then reports the invalid argument, and does not drain.
		args = append(args, "refused")
	}
	cmd := exec.Command(shim, args...)
	cmd.Env = append(os.Environ(), "CREDENTIALS_DIRECTORY="+dir, "PORT=3000")
	if drain {
		cmd.Env = append(cmd.Env, "MAINPID="+strconv.Itoa(endedPID(t)))
	}
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if drain && !strings.Contains(string(out), `unexpected argument "refused"`) || cmd.ProcessState.ExitCode() == contract.StatusUsage {
		t.Errorf("command %s ended with %v, want no usage error\n%s", words, cmd.ProcessState, out)
	}
}

// endedPID returns the process id of a process that has ended.
func endedPID(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("/bin/true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.Pid()
}

// TestHelpNamesDefaults: the help text contains the default values of package contract.
func TestHelpNamesDefaults(t *testing.T) {
	for _, want := range []string{
		"a run is short if it ends earlier (" + contract.MinUptime.String() + ")",
		"exit with status " + strconv.Itoa(contract.StatusGaveUp) + " ",
		"of the whole probe (" + strings.TrimSuffix(contract.ProbeTimeout.String(), "0s") + ")",
		"for this long (" + contract.ProbeIdle.String() + ")",
	} {
		if !strings.Contains(help, want) {
			t.Errorf("the help does not contain %q", want)
		}
	}
}
