package polkit

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// question is what systemd asks polkit, about a member of the group or somebody else.
type question struct {
	Action, Unit, Verb string
	Member             bool
	want               string
}

const manageUnits = "org.freedesktop.systemd1.manage-units"

// TestRule asks the rule itself, in Node; internal/e2e asks polkit. What is not allowed is left to other rules: a rule that
// said no would take rights away.
func TestRule(t *testing.T) {
	text, err := os.ReadFile("50-clusterctl-operators.rules")
	if err != nil {
		t.Fatal(err)
	}
	const none = "var apps = [];"
	if strings.Count(string(text), none) != 1 {
		t.Fatalf("%q is not once in the rule", none)
	}
	questions := func(want string, verbs []string, units ...string) (all []question) {
		for _, u := range units {
			for _, v := range verbs {
				all = append(all, question{manageUnits, u, v, true, want})
			}
		}
		return all
	}
	verbs := []string{"start", "stop", "restart", "try-restart", "reload", "reload-or-restart", "reload-or-try-restart", "kill", "reset-failed"}
	others := []string{"set-property", "clean", "freeze", "thaw", "ref", "attach", "mount-image", "bind", "cancel", ""}

	named := questions("yes", verbs, "shop.service", "shop@1.service", "shop@1000.service", "shop.socket", "front-end.service", "front-end@2.service", "front-.socket", "a.b@1.service")
	named = append(named, questions("", others, "shop.service", "shop@1.service")...)
	named = append(named, questions("", verbs,
		"shop2.service", "shop-admin.service", "shop-admin.socket", "myshop.service", "shop@x.service", "shop@.service", "shop@1.socket", "shop@1@2.service",
		"shop.target", "shop.slice", "shop.timer", "shop", "", "dbus.service", "ssh.socket", "front.service", "xfront-end.service", "clusterctl-shop.slice",
		"shop.service\n", "\nshop.service", "shop.service.d", "axb@1.service", "*.service", "-.service")...)
	for _, v := range []string{"org.freedesktop.systemd1.manage-unit-files", "org.freedesktop.systemd1.reload-daemon", "org.freedesktop.login1.reboot"} {
		named = append(named, question{v, "shop.service", "start", true, ""})
	}
	named = append(named, question{manageUnits, "shop.service", "stop", false, ""})
	ask(t, strings.Replace(string(text), none, `var apps = ["shop", "front-*", "a.b"];`, 1), named)

	// As it is, and with a star alone, which would be every unit there is.
	shipped := questions("", verbs, "shop.service", "shop@1.service", "ssh.service", ".service", "undefined.service")
	ask(t, string(text), shipped)
	ask(t, strings.Replace(string(text), none, `var apps = ["*", ""];`, 1), shipped)
}

func ask(t *testing.T, rule string, questions []question) {
	t.Helper()
	const harness = `
const rules = [];
globalThis.polkit = {Result: {YES: "yes", NO: "no", NOT_HANDLED: ""}, addRule: r => rules.push(r)};
const [rule, questions] = JSON.parse(require("fs").readFileSync(0));
(0, eval)(rule);
if (rules.length != 1) throw new Error(rules.length + " rules");
console.log(JSON.stringify(questions.map(q => rules[0](
	{id: q.Action, lookup: k => ({unit: q.Unit, verb: q.Verb})[k]}, {isInGroup: g => g == "clusterctl-operators" && q.Member}))));`
	input, err := json.Marshal([]any{rule, questions})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", "-e", harness)
	cmd.Stdin = strings.NewReader(string(input))
	out, err := cmd.Output()
	var answers []string
	if err == nil {
		err = json.Unmarshal(out, &answers)
	}
	if err != nil || len(answers) != len(questions) {
		t.Fatalf("%v, %d answers (make deps)", err, len(answers))
	}
	for i, q := range questions {
		if answers[i] != q.want {
			t.Errorf("%+v: %q", q, answers[i])
		}
	}
}
