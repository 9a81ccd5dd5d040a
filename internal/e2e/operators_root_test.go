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

// TestOperatorsAreNotRoot runs commands as an operator. Each command would make PID 1 run a program as root, or would use
// a unit that does not belong to the operator's apps. polkit must refuse each command.
func TestOperatorsAreNotRoot(t *testing.T) {
	onOperators(t, func(t *testing.T, m *kit.Machine) {
		// Every unit that the operator must not start writes this file.
		const proof, write = "/root/proof", "/bin/sh -c 'id > /root/proof'"
		kit.Install(t, m, "queue", 2, 0, "queue", "--no-listen", "--settle", "200ms", "--", "/bin/sleep", "infinity")
		kit.InstallNative(t, m, "shop", 2, 8235, "--", goWorker)
		kit.InstallNative(t, m, "front-was", 1, 8236, "--", goWorker).Uninstall(t)
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

		// The apps must be stopped, because systemd refuses a transient unit with the name of an active unit.
		m.Sh(t, "systemctl stop queue.service 'queue@*' shop.socket 'shop@*' shop.service")
		for _, argv := range operatorAttempts(m, proof) {
			r := runAs(t, m, "alice", argv...)
			if r.Code == 0 {
				t.Errorf("%q succeeded, want a refusal by polkit: %v", argv, r)
				continue
			}
			// polkit must refuse the command. If polkit allowed the command, systemd might refuse it for another reason,
			// and this test would not notice the error in the rule.
			if !refusedByPolkit.MatchString(r.Stderr) {
				t.Errorf("%q failed, but not with a refusal by polkit: %v", argv, r)
			}
		}
		if r := m.Try("cat " + proof); r.Code == 0 {
			t.Errorf("a unit that the operator must not start has written %s: %s", proof, r.Stdout)
		}
		if r := m.Try("ls -d /run/systemd/transient/*.service /run/systemd/transient/*.socket"); r.Code == 0 {
			t.Errorf("transient units exist, want none: %s", r.Stdout)
		}
		// The actions that the rule allows must still succeed.
		m.Sh(t, "rm "+dir+"queue@2.service; systemctl daemon-reload")
		for _, u := range []string{"queue.service", "queue@2.service", "shop.service", "shop.socket"} {
			if r := runAs(t, m, "alice", systemctl("start", u)...); r.Code != 0 {
				t.Errorf("systemctl start %s as the operator: want exit status 0: %v", u, r)
			}
		}
	})
}

// operatorAttempts returns command lines that polkit must refuse to an operator. Some of these commands start transient
// units, which would write the file proof.
func operatorAttempts(m *kit.Machine, proof string) [][]string {
	attempts := [][]string{
		systemctl("start", "front-admin.service"),
		systemctl("start", "front-admin@1.service"),
		systemctl("start", "front-alias.service"),
		systemctl("start", "front-drop.service"),
		systemctl("start", "front-masked.service"),
		systemctl("restart", "queue@2.service"), // this instance has a unit file that root has written
		systemctl("start", "shop@3.service"),    // the app has only two instances
		systemctl("start", "shop@1000000.service"),
		systemctl("set-property", "--runtime", "shop@1.service", "CPUWeight=1"),
		{"systemd-run", "--no-ask-password", "--scope", "--unit=front-scope", "true"},
		busctl("AttachProcessesToUnit", "ssau", "shop@1.service", "", "1", "1"),
	}
	services := []string{
		"front-x.service", "front-x@1.service", // the name matches front-* in the list of the rule, but no such app exists
		"ghost.service", "ghost@1.service", // the name is in the list of the rule, but no such app exists
		"front-was.service", "front-was@1.service", // the app was uninstalled
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

// The function systemctl returns a command line that runs systemctl without a password prompt.
func systemctl(argv ...string) []string {
	return slices.Concat([]string{"systemctl", "--no-ask-password"}, argv)
}

// refusedByPolkit matches the errors that systemctl, busctl, systemd-run and varlinkctl print after a refusal by polkit.
// The expression also matches the error of AttachProcessesToUnit, which refuses a unit before it calls polkit.
var refusedByPolkit = regexp.MustCompile(`(?i)interactive *authentication *required|access denied|permission denied|non-delegated`)

// The function busctl returns a command line that calls a method of systemd's manager object without a password prompt.
func busctl(method, signature string, args ...string) []string {
	return slices.Concat([]string{"busctl", "--allow-interactive-authorization=false", "--", "call",
		"org.freedesktop.systemd1", "/org/freedesktop/systemd1",
		"org.freedesktop.systemd1.Manager", method, signature}, args)
}

// The function transient returns a busctl command line that starts a transient unit. The parameter exec is the name of
// the property with the command of the unit. This command writes the file proof.
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

// The function varlink returns a varlinkctl command line that starts a transient service. The service writes the file
// proof. systemd offers io.systemd.Unit.StartTransient since about version 262.
func varlink(unit, proof string) []string {
	const manager = "/run/systemd/io.systemd.Manager"
	return []string{"varlinkctl", "call", manager, "io.systemd.Unit.StartTransient", fmt.Sprintf(
		`{"context":{"ID":%q,"Service":{"ExecStart":[{"path":"/bin/sh","arguments":["/bin/sh","-c","id > %s"]}]}}}`, unit, proof)}
}
