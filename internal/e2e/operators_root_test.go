//go:build lab

package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestOperatorsAreNotRoot: an operator tries to make PID 1 run a command line of the operator as root, and to use units
// that do not belong to the app. The attempts cover every action that polkit asks the rule about.
func TestOperatorsAreNotRoot(t *testing.T) {
	onOperators(t, func(t *testing.T, m *kit.Machine) {
		// Every command that must not run writes this file.
		const proof, write = "/root/proof", "/bin/sh -c 'id > /root/proof'"
		kit.Install(t, m, "queue", 2, 0, "queue", "--no-listen", "--settle", "200ms", "--", "/bin/sleep", "infinity")
		kit.InstallNative(t, m, "shop", 2, 8235, "--", goWorker)
		was := kit.InstallNative(t, m, "front-was", 1, 8236, "--", goWorker)
		was.Uninstall(t)
		const dir = "/etc/systemd/system/"
		unit := "[Service]\nType=oneshot\nExecStart=" + write + "\n"
		for path, text := range map[string]string{
			"front-admin.service":                    unit,
			"front-admin@.service":                   unit,
			"private.service":                        unit,
			"queue@2.service":                        unit,
			"front-drop.service.d/x.conf":            unit,
			"front-time.service.d/50-instances.conf": "[Service]\nEnvironment=\"CLUSTERCTL_INSTANCES=1 2\"\n",
		} {
			m.WriteFile(t, dir+path, text, 0o644)
		}
		m.Sh(t, "cd "+dir+"; ln -s private.service front-alias.service; ln -s /dev/null front-masked.service; systemctl daemon-reload")
		t.Cleanup(func() {
			m.Sh(t, "cd "+dir+"; rm -rf front-* private.service queue@2.service "+proof+"; systemctl daemon-reload")
		})
		writeRule(t, m, `"shop", "queue", "front-*", "ghost"`)

		// Stop the apps, because systemd refuses a name that is in use.
		m.Sh(t, "systemctl stop queue.service 'queue@*' shop.socket 'shop@*' shop.service")
		for _, argv := range operatorAttempts(m, proof) {
			r := runAs(t, m, "alice", argv...)
			if r.Code == 0 {
				t.Errorf("allowed: %q: %v", argv, r)
				continue
			}
			// systemd itself refuses a name with a fragment file, but only after polkit has answered. AttachProcessesToUnit
			// checks the unit before it asks polkit.
			if !refusedByPolkit.MatchString(r.Stderr) {
				t.Errorf("this is not a refusal by polkit: %q: %v", argv, r)
			}
		}
		if r := m.Try("cat " + proof); r.Code == 0 {
			t.Errorf("a command line of the operator ran: %s", r.Stdout)
		}
		if left := m.Try("ls -d /run/systemd/transient/*.service /run/systemd/transient/*.socket"); left.Code == 0 {
			t.Errorf("transient units: %s", left.Stdout)
		}
		// The actions that the rule allows still work.
		m.Sh(t, "rm "+dir+"queue@2.service; systemctl daemon-reload")
		for _, u := range []string{"queue.service", "queue@2.service", "shop.service", "shop.socket"} {
			if r := runAs(t, m, "alice", systemctl("start", u)...); r.Code != 0 {
				t.Errorf("%s: %v", u, r)
			}
		}
	})
}

// operatorAttempts returns commands of an operator that polkit must refuse. Some of them would write the file proof.
func operatorAttempts(m *kit.Machine, proof string) [][]string {
	attempts := [][]string{
		systemctl("start", "front-admin.service"),
		systemctl("start", "front-admin@1.service"),
		systemctl("start", "front-alias.service"),
		systemctl("start", "front-drop.service"),
		systemctl("start", "front-masked.service"),
		systemctl("restart", "queue@2.service"), // has its own unit file
		systemctl("start", "shop@3.service"),    // the app does not list it
		systemctl("start", "shop@1000000.service"),
		systemctl("set-property", "--runtime", "shop@1.service", "CPUWeight=1"),
		{"systemd-run", "--no-ask-password", "--scope", "--unit=front-scope", "true"},
		busctl("AttachProcessesToUnit", "ssau", "shop@1.service", "", "1", "1"),
	}
	services := []string{
		"front-x.service", "front-x@1.service", // names that match a wildcard
		"ghost.service", "ghost@1.service", // in the list, but never installed
		"front-was.service", "front-was@1.service", // uninstalled
		"front-drop.service", "front-masked.service", "front-alias.service",
		"queue@3.service", "shop@3.service", "shop.service", "shop@1.service",
	}
	sockets := []string{"queue.socket", "ghost.socket", "front-x.socket", "front-was.socket", "shop-admin.socket"}
	for _, s := range services {
		attempts = append(attempts, transient(s, "ExecStart", proof),
			[]string{"systemd-run", "--no-ask-password", "--unit=" + s, "/bin/sh", "-c", "id > " + proof})
		if m.Release() == lab.OperatorsSid {
			attempts = append(attempts, varlink(s, proof))
		}
	}
	for _, s := range sockets {
		attempts = append(attempts, transient(s, "ExecStartPre", proof))
	}
	return attempts
}

// systemctl returns a command line of systemctl that asks for no password.
func systemctl(argv ...string) []string {
	return slices.Concat([]string{"systemctl", "--no-ask-password"}, argv)
}

// refusedByPolkit matches the errors of all these tools after a refusal by polkit.
var refusedByPolkit = regexp.MustCompile(`(?i)interactive *authentication *required|access denied|permission denied|non-delegated`)

// busctl returns a command that calls a method of systemd, and asks for no password.
func busctl(method, signature string, args ...string) []string {
	return slices.Concat([]string{"busctl", "--allow-interactive-authorization=false", "--", "call",
		"org.freedesktop.systemd1", "/org/freedesktop/systemd1",
		"org.freedesktop.systemd1.Manager", method, signature}, args)
}

// transient returns a busctl command that starts a transient unit. The command line of that unit writes the file proof.
func transient(unit, exec, proof string) []string {
	props := []string{exec, "a(sasb)", "1", "/bin/sh", "3", "/bin/sh", "-c", "id > " + proof, "false"}
	n := 1
	if strings.HasSuffix(unit, ".socket") {
		n = 2
		props = append(props, "Listen", "a(ss)", "1", "Stream", "/run/operators.sock")
	}
	return busctl("StartTransientUnit", "ssa(sv)a(sa(sv))",
		slices.Concat([]string{unit, "replace", fmt.Sprint(n)}, props, []string{"0"})...)
}

// varlink returns a command that does the same through io.systemd.Unit, which systemd has since about 262.
func varlink(unit, proof string) []string {
	const manager = "/run/systemd/io.systemd.Manager"
	return []string{"varlinkctl", "call", manager, "io.systemd.Unit.StartTransient", fmt.Sprintf(
		`{"context":{"ID":%q,"Service":{"ExecStart":[{"path":"/bin/sh","arguments":["/bin/sh","-c","id > %s"]}]}}}`, unit, proof)}
}
