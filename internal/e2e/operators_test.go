//go:build lab

package e2e

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

const (
	operatorsRule  = "../../packaging/polkit/50-clusterctl-operators.rules"
	operatorsGroup = "clusterctl-operators"
	rulePath       = "/etc/polkit-1/rules.d/50-clusterctl-operators.rules"
)

// onOperators runs f on the releases whose machines have polkit, one release after another. The user alice is in the
// group of the example rule, and bob is not.
func onOperators(t *testing.T, f func(t *testing.T, m *kit.Machine)) {
	t.Helper()
	suite().Sequential(t, []lab.Release{lab.Operators, lab.OperatorsTrixie, lab.OperatorsSid}, func(t *testing.T, m *kit.Machine) {
		m.Sh(t, "getent group "+operatorsGroup+" || { groupadd --system "+operatorsGroup+"; useradd --groups "+
			operatorsGroup+" alice; useradd bob; }")
		f(t, m)
	})
}

// writeRule installs the example rule, and writes apps into its JavaScript list of app names. If apps is "", the list is
// empty.
func writeRule(t *testing.T, m *kit.Machine, apps string) {
	t.Helper()
	text, err := os.ReadFile(operatorsRule)
	if err != nil {
		t.Fatal(err)
	}
	const emptyList = "var apps = [];"
	if strings.Count(string(text), emptyList) != 1 {
		t.Fatalf("the rule contains %q %d times, want once", emptyList, strings.Count(string(text), emptyList))
	}
	m.WriteFile(t, rulePath, strings.Replace(string(text), emptyList, "var apps = ["+apps+"];", 1), 0o644)
	// polkit also reads a changed rule without a restart, but no event reports that it has read the rule. After a
	// restart, polkit has read the rule.
	m.Sh(t, "systemctl restart polkit")
}

// TestOperators installs three apps, and the example rule for polkit with two apps in its list. The user alice, a member
// of the group in the rule, may manage the two apps. polkit must refuse commands of alice for the third app, and all
// commands of bob, who is not a member.
func TestOperators(t *testing.T) {
	onOperators(t, func(t *testing.T, m *kit.Machine) {
		shop := kit.InstallNative(t, m, "shop", 2, 8230, "--", goWorker)
		front := kit.InstallNative(t, m, "front-end", 1, 8231, "--", goWorker)
		other := kit.InstallNative(t, m, "other", 1, 8232, "--", goWorker)
		writeRule(t, m, "")
		kit.Step(t, "the shipped rule", func(t *testing.T) {
			for _, who := range []string{"alice", "bob"} {
				wantDenied(t, m, who, "stop", "shop")
				wantDenied(t, m, who, "reload", "shop@1")
			}
			shop.WantUp(t)
		})
		writeRule(t, m, `"shop", "front-*"`)
		kit.Step(t, "allowed commands", func(t *testing.T) { wantOperatorAllowed(t, m, shop, front) })
		kit.Step(t, "denied commands", func(t *testing.T) { wantOperatorDenied(t, m, shop, other) })
	})
}

// wantOperatorAllowed runs, as alice, every command that the rule allows. The commands must succeed.
func wantOperatorAllowed(t *testing.T, m *kit.Machine, shop, front kit.App) {
	before := shop.PIDs(t)
	wantAllowed(t, m, "alice", "restart", "shop")
	kit.WantReplaced(t, before, shop.PIDs(t))
	before = shop.PIDs(t)
	wantAllowed(t, m, "alice", "reload", "shop")
	kit.WantReplaced(t, before, shop.PIDs(t))
	before = shop.PIDs(t)
	wantAllowed(t, m, "alice", "reload", "shop@2")
	after := shop.PIDs(t)
	kit.WantNotReplaced(t, before[:1], after[:1])
	kit.WantReplaced(t, before[1:], after[1:])
	wantAllowed(t, m, "alice", "restart", "--rolling", "shop")
	kit.WantReplaced(t, after, shop.PIDs(t))

	wantAllowed(t, m, "alice", "stop", "shop@1")
	m.WantState(t, "inactive", shop.Unit(1))
	wantAllowed(t, m, "alice", "start", "shop@*")
	shop.WantUp(t)
	wantAllowed(t, m, "alice", "signal", "CONT", "shop")
	wantAllowed(t, m, "alice", "reset", "shop")
	wantAllowed(t, m, "alice", "stop", "shop")
	shop.WantDown(t, kit.DialBus(t, m))
	wantAllowed(t, m, "alice", "start", "shop")
	shop.WantUp(t)
	wantAllowed(t, m, "alice", "restart", "front-end")
	front.WantUp(t)
	// The rule must also allow a reload with systemctl.
	if r := runAs(t, m, "alice", systemctl("reload", "shop.service")...); r.Code != 0 {
		t.Errorf("systemctl reload as alice: want exit status 0: %v", r)
	}
	for _, args := range [][]string{{"ls"}, {"show", "shop"}, {"env", "shop"}, {"cat", "shop"}} {
		wantAllowed(t, m, "alice", args...)
	}
}

// wantOperatorDenied runs, as alice and as bob, commands that the rule does not allow. The commands must fail and must
// not restart an instance.
func wantOperatorDenied(t *testing.T, m *kit.Machine, shop, other kit.App) {
	before := slices.Concat(shop.PIDs(t), other.PIDs(t))
	for _, verb := range []string{"stop", "start", "restart", "reload", "reset"} {
		wantDenied(t, m, "alice", verb, "other")
		wantDenied(t, m, "alice", verb, "other@1")
		wantDenied(t, m, "bob", verb, "shop")
	}
	wantDenied(t, m, "alice", "signal", "KILL", "other")
	wantDenied(t, m, "bob", "signal", "KILL", "shop@1")
	// Only root may run a command that writes files or reloads the configuration of PID 1, also for an app in the list.
	wantDenied(t, m, "alice", "scale", "shop", "3")
	wantDenied(t, m, "alice", "reload", "shop", "--surge", "1")
	wantDenied(t, m, "alice", "uninstall", "--yes", "shop")
	wantDenied(t, m, "alice", "install", "shop-2", "-i", "1", "--listen", "8233", "--activation", "native", "--", goWorker)
	for _, verb := range []string{"clean", "set-property"} {
		argv := map[string][]string{"clean": {"clean", "shop@1.service"},
			"set-property": {"set-property", "shop@1.service", "CPUWeight=1"}}[verb]
		if r := runAs(t, m, "alice", systemctl(argv...)...); r.Code == 0 {
			t.Errorf("systemctl %s as alice succeeded, want a refusal: %v", verb, r)
		}
	}
	if r := runAs(t, m, "alice", systemctl("stop", "dbus.socket", "shop.slice", "shop.target")...); r.Code == 0 {
		t.Errorf("systemctl stop of units outside of the app as alice succeeded, want a refusal: %v", r)
	}
	kit.WantNotReplaced(t, before, slices.Concat(shop.PIDs(t), other.PIDs(t)))
	other.WantUp(t)
}

// runAs runs a command as a user with the user's groups.
func runAs(t *testing.T, m *kit.Machine, who string, argv ...string) lab.Result {
	t.Helper()
	return m.Run(t.Context(), slices.Concat([]string{"runuser", "-u", who, "--"}, argv)...)
}

// wantAllowed fails the test unless the command exits with status 0.
func wantAllowed(t *testing.T, m *kit.Machine, who string, args ...string) {
	t.Helper()
	if r := runAs(t, m, who, append([]string{kit.Ctl}, args...)...); r.Code != 0 {
		t.Errorf("clusterctl %q as %s: want exit status 0: %v", args, who, r)
	}
}

// wantDenied fails the test unless the command exits with status 4 and prints a hint with sudo and the same command line.
func wantDenied(t *testing.T, m *kit.Machine, who string, args ...string) {
	t.Helper()
	r := runAs(t, m, who, append([]string{kit.Ctl}, args...)...)
	if want := hint + "sudo clusterctl " + strings.Join(args, " ") + "\n"; r.Code != notAllowed ||
		!strings.Contains(r.Stderr, want) || r.Stdout != "" {
		t.Errorf("clusterctl %q as %s: want exit status %d and %q: %v", args, who, notAllowed, want, r)
	}
}
