package polkit

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A question is a request of systemd to polkit, and the result that the rule must return. Member is true if the user is
// in the group.
type question struct {
	Action, Unit, Verb string
	Message            string
	Member             bool
	want               string
}

const (
	manageUnits = "org.freedesktop.systemd1.manage-units"

	// The messages of systemd for the start of a unit (systemd 252 to 262) and of a transient unit (since systemd 257).
	startMessage     = "Authentication is required to start '$(unit)'."
	transientMessage = "Authentication is required to start transient unit '$(unit)'."

	none = "var apps = [];"
)

// The function ask returns a question for a member of the group.
func ask(unit, verb, want string) question {
	q := question{Action: manageUnits, Unit: unit, Verb: verb, Member: true, want: want}
	if verb == "start" {
		q.Message = startMessage
	}
	return q
}

// The function questions returns a question for each verb and each unit.
func questions(want string, verbs []string, units ...string) (all []question) {
	for _, u := range units {
		for _, v := range verbs {
			all = append(all, ask(u, v, want))
		}
	}
	return all
}

func allVerbs() []string {
	return []string{"start", "stop", "restart", "try-restart", "reload", "reload-or-restart", "reload-or-try-restart",
		"kill", "reset-failed"}
}

// TestRule evaluates the rule in Node, with unit files in a temporary directory. The tests in internal/e2e use the rule
// in polkit itself. If the rule does not allow a request, it must return NOT_HANDLED, because "no" would override other
// rules.
func TestRule(t *testing.T) {
	text := shippedRule(t)
	m := newMachine(t)
	for _, app := range []string{"shop", "front-end", "a.b", "other"} {
		m.install("/etc/systemd/system", app, "1 2 10")
	}
	m.write("/etc/systemd/system/shop-admin.socket", "[Unit]\nX-Clusterctl-App=shop\n")
	m.write("/etc/systemd/system/other-shop.socket", "[Unit]\nX-Clusterctl-App=other\n")

	named := questions("yes", allVerbs(), "shop.service", "shop@1.service", "shop@10.service", "shop.socket", "shop-admin.socket",
		"front-end.service", "front-end@2.service", "front-end.socket", "a.b@1.service")
	others := []string{"set-property", "clean", "freeze", "thaw", "ref", "attach", "attach-processes", "mount-image", "bind", "cancel", ""}
	named = append(named, questions("", others, "shop.service", "shop@1.service")...)
	named = append(named, questions("", allVerbs(),
		"shop2.service", "shop-admin.service", "myshop.service", "shop@x.service", "shop@.service", "shop@1.socket", "shop@1@2.service",
		"shop@3.service", "shop@0.service", "shop@01.service", "shop@100.service", "shop@1000000.service", "shop@1 2.service",
		"shop.target", "shop.slice", "shop.timer", "shop", "", "dbus.service", "ssh.socket", "front.service",
		"xfront-end.service", "clusterctl-shop.slice",
		"other.service", "other-shop.socket", "axb@1.service", "shop.service\n", "\nshop.service", "shop.service.d",
		"*.service", "-.service",
		"../system/shop.service", "shop$(id).service", "shop\".service")...)
	for _, v := range []string{"org.freedesktop.systemd1.manage-unit-files", "org.freedesktop.systemd1.reload-daemon",
		"org.freedesktop.login1.reboot"} {
		q := ask("shop.service", "start", "")
		q.Action = v
		named = append(named, q)
	}
	stranger := ask("shop.service", "stop", "")
	stranger.Member = false
	named = append(named, stranger)
	m.evaluate(t, strings.Replace(text, none, `var apps = ["shop", "front-*", "a.b"];`, 1), named)

	// If the list of apps in the rule is empty or contains only "*", the rule must not allow any request.
	nothing := questions("", allVerbs(), "shop.service", "shop@1.service", "ssh.service", ".service", "undefined.service")
	m.evaluate(t, text, nothing)
	m.evaluate(t, strings.Replace(text, none, `var apps = ["*", ""];`, 1), nothing)
}

// TestRuleWantsOurFile checks that the rule allows a unit only if the unit file that systemd uses has the mark of
// clusterctl.
func TestRuleWantsOurFile(t *testing.T) {
	m := newMachine(t)
	const etc, run, lib = "/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system"
	deny := func(units ...string) []question { return questions("", allVerbs(), units...) }
	allow := func(units ...string) []question { return questions("yes", allVerbs(), units...) }

	m.install(etc, "shop", "1")
	q := deny("x-missing.service", "x-missing.socket", "x-missing@1.service")
	// A background app has no socket.
	m.install(etc, "x-queue", "1 2")
	m.remove(etc + "/x-queue.socket")
	q = append(q, allow("x-queue.service", "x-queue@2.service")...)
	q = append(q, deny("x-queue.socket")...)

	m.write(etc+"/x-foreign.service", "[Service]\nExecStart=/bin/true\n")
	m.write(etc+"/x-other.service", "[Unit]\nX-Clusterctl-App=other\n")
	m.write(etc+"/x-two.service", "[Unit]\nX-Clusterctl-App=x-two\nX-Clusterctl-App=other\n")
	m.write(etc+"/x-comment.service", "# X-Clusterctl-App=x-comment\n[Unit]\n")
	m.write(etc+"/x-dropin.service.d/50-instances.conf", "X-Clusterctl-App=x-dropin\n")
	m.link("/dev/null", etc+"/x-masked.service")
	m.link("missing", etc+"/x-dangling.service")
	q = append(q, deny("x-foreign.service", "x-other.service", "x-two.service", "x-comment.service", "x-dropin.service",
		"x-masked.service", "x-dangling.service")...)

	// If several directories contain a unit file, systemd uses the file in the first directory. It uses the file of an
	// instance instead of the template.
	m.install(lib, "x-over", "1 2")
	m.write(etc+"/x-over.service", "[Service]\n")
	m.link("/dev/null", run+"/x-over.socket")
	m.write(lib+"/x-over@2.service", "[Service]\n")
	q = append(q, deny("x-over.service", "x-over.socket", "x-over@2.service")...)
	q = append(q, allow("x-over@1.service")...)
	for i, dir := range []string{"/etc/systemd/system.control", "/run/systemd/system.control", "/run/systemd/transient",
		"/run/systemd/generator.early"} {
		app := fmt.Sprintf("x-edit%d", i)
		m.install(etc, app, "1")
		m.write(dir+"/"+app+".service", "[Unit]\nDescription=x\n")
		q = append(q, deny(app+".service")...)
		q = append(q, allow(app+".socket")...)
	}

	// The units of a package are links to the units of its current release.
	m.install("/opt/x-pkg/current/units", "x-pkg", "1 2 3")
	m.link(m.root+"/opt/x-pkg/current/units/x-pkg@.service", lib+"/x-pkg@.service")
	m.link(m.root+"/opt/x-pkg/current/units/x-pkg.service.d", lib+"/x-pkg.service.d")
	q = append(q, allow("x-pkg@3.service")...)
	q = append(q, deny("x-pkg@4.service", "x-pkg.service")...)

	// The rule must not allow the start of a transient unit, or a request with an unknown message.
	for _, message := range []string{transientMessage, "", "Something new about '$(unit)'."} {
		for _, unit := range []string{"shop.service", "x-queue@1.service", "x-new.service"} {
			start := ask(unit, "start", "")
			start.Message = message
			q = append(q, start)
		}
	}
	m.evaluate(t, strings.Replace(shippedRule(t), none, `var apps = ["shop", "x-*"];`, 1), q)
}

func shippedRule(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("50-clusterctl-operators.rules")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(text), none) != 1 {
		t.Fatalf("the rule must contain %q once", none)
	}
	return string(text)
}

// A machine is a directory with unit files. The script of the rule uses this directory instead of /.
type machine struct {
	t    *testing.T
	root string
}

func newMachine(t *testing.T) machine { return machine{t, t.TempDir()} }

func (m machine) write(path, text string) {
	m.t.Helper()
	path = m.root + path
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

func (m machine) link(target, path string) {
	m.t.Helper()
	if err := os.MkdirAll(filepath.Dir(m.root+path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Symlink(target, m.root+path); err != nil {
		m.t.Fatal(err)
	}
}

func (m machine) remove(path string) {
	m.t.Helper()
	if err := os.Remove(m.root + path); err != nil {
		m.t.Fatal(err)
	}
}

// The method install writes unit files of an app, with only the lines that the rule reads.
func (m machine) install(dir, app, instances string) {
	m.t.Helper()
	for _, name := range []string{app + ".service", app + "@.service", app + ".socket"} {
		m.write(dir+"/"+name, "[Unit]\nDescription="+app+"\nX-Clusterctl-App="+app+"\n# a comment\n")
	}
	m.write(dir+"/"+app+".service.d/50-instances.conf", "[Service]\nEnvironment=\"CLUSTERCTL_INSTANCES="+instances+"\"\n")
}

// The method evaluate runs the rule in Node for all questions, and checks the results.
func (m machine) evaluate(t *testing.T, rule string, questions []question) {
	t.Helper()
	const harness = `
const rules = [];
const [root, rule, questions] = JSON.parse(require("fs").readFileSync(0));
globalThis.polkit = {
	Result: {YES: "yes", NO: "no", NOT_HANDLED: ""},
	addRule: r => rules.push(r),
	spawn: argv => {
		argv = argv.map((a, i) => i == 2 ? a.replace(/ \/(etc|run|usr)\//g, " " + root + "/$1/") : a);
		const r = require("child_process").spawnSync(argv[0], argv.slice(1), {encoding: "utf8"});
		if (r.status !== 0) throw new Error(argv[0] + ": " + r.status);
		return r.stdout;
	},
};
(0, eval)(rule);
if (rules.length != 1) throw new Error(rules.length + " rules");
console.log(JSON.stringify(questions.map(q => rules[0](
	{id: q.Action, lookup: k => ({unit: q.Unit, verb: q.Verb, "polkit.message": q.Message})[k]},
	{isInGroup: g => g == "clusterctl-operators" && q.Member}))));`
	input, err := json.Marshal([]any{m.root, rule, questions})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", "-e", harness)
	cmd.Stdin = strings.NewReader(string(input))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var answers []string
	if err == nil {
		err = json.Unmarshal(out, &answers)
	}
	if err != nil || len(answers) != len(questions) {
		t.Fatalf("evaluating the rule: error %v, got %d results (Node is required: make deps)\n%s", err, len(answers), stderr.String())
	}
	for i, q := range questions {
		if answers[i] != q.want {
			t.Errorf("%+v: got %q, want %q", q, answers[i], q.want)
		}
	}
}
