//go:build lab

package hostile

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
)

// TestAttacksGetNothing lets the hostile worker run every attack in each kind of app. Each attack must fail.
func TestAttacksGetNothing(t *testing.T) {
	onEach(t, func(t *testing.T, m *kit.Machine, k kind) {
		query := url.Values{
			"read": {"/etc/shadow", "/root/.aws/credentials", "/home/alice/.ssh/id_ed25519", "/home/bob/notes",
				"/etc/clusterctl/" + k.name + ".env", "/etc/clusterctl/" + k.name + ".yaml"},
			"keep": {k.path(program), k.path(".env"), k.path("clusterctl.yaml"), "/etc/passwd", "/home/alice/.bashrc"},
		}
		if who := k.user(); who != "" {
			outside := m.Start(t, "runuser", "-u", who, "--", "sleep", "600")
			defer outside.Stop()
			query.Set("pid", m.Sh(t, "until pgrep -n -u "+who+" -x sleep; do :; done"))
		}
		if k.user() != "root" {
			query.Add("read", "/etc/other/secrets.env") // a worker that runs as root may read files of root
		}
		for _, g := range k.attack(t, m, query) {
			switch {
			case g.Got == "":
			case k.name == "native" && strings.HasPrefix(g.Name, "signal "):
				// Only the shim blocks signals to other processes. Native apps run without the shim, so they can send
				// these signals (docs/SECURITY.md).
			default:
				t.Errorf("the attack %q succeeded: %s", g.Name, g.Got)
			}
		}
	})
}

// TestEnvFileLinkReadsNoSecret replaces the .env file of an app with a link to a file that only root may read, and
// restarts the app. The worker must not get the contents of this file as variables.
func TestEnvFileLinkReadsNoSecret(t *testing.T) {
	onEach(t, func(t *testing.T, m *kit.Machine, k kind) {
		for _, secret := range []string{"/root/.aws/credentials", "/etc/other/secrets.env"} {
			// First the worker creates the link. Then a process of the same user outside of the sandbox creates the
			// link.
			k.get(t, m, "replace", url.Values{"path": {k.path(".env")}, "link": {secret}})
			if who := k.user(); who != "" && who != "root" {
				m.Sh(t, fmt.Sprintf("runuser -u %s -- ln -sfn %s %s", who, secret, k.path(".env")))
			}
			m.Sh(t, "systemctl restart "+k.name+"@1 || systemctl reset-failed "+k.name+"@1")
			r := m.Try("curl -sS --max-time 5 " + k.url("env"))
			wantWithout(t, "the environment of the worker", r.Stdout, "hostile-secret")
			m.Sh(t, fmt.Sprintf("rm -f %[1]s && echo MODE=from-the-file >%[1]s && chown %s: %[1]s", k.path(".env"), k.owner))
			m.Must(t, "restart", k.name)
			if got := k.get(t, m, "env", nil); !strings.Contains(got, "MODE=from-the-file") {
				t.Errorf("the worker does not have the variable MODE from its .env file:\n%s", got)
			}
		}
	})
}

// TestWorkerThatRefusesToStop lets the worker ignore SIGTERM and send EXTEND_TIMEOUT_USEC= to systemd. clusterctl and
// systemctl must nevertheless stop the worker.
func TestWorkerThatRefusesToStop(t *testing.T) {
	onEach(t, func(t *testing.T, m *kit.Machine, k kind) {
		for _, command := range [][]string{{"restart", k.name}, {"stop", k.name}, {"start", k.name}} {
			if command[0] != "start" {
				k.get(t, m, "stay", nil)
			}
			r := m.Clusterctl(t, command...)
			t.Logf("%s: %v", command[0], r)
			if r.Code != 0 && r.Code != 3 {
				t.Errorf("clusterctl %s: want exit status 0 or 3: %v", command[0], r)
			}
		}
		k.get(t, m, "stay", nil)
		// TimeoutStopSec= is 6 s.
		if r := m.Try("timeout 120 systemctl stop " + k.name + "@1"); r.Code != 0 {
			t.Errorf("systemctl stop: want exit status 0 within 120 s: %v", r)
		}
	})
}

// TestForgedLinesOfWorkers lets a worker send a forged line to the journal, as if systemd had logged the line for another
// app. The output of clusterctl logs for the other app must not contain the forged line.
func TestForgedLinesOfWorkers(t *testing.T) {
	suite().Sequential(t, releases(), func(t *testing.T, m *kit.Machine) {
		forger, victim := kinds()[0], kinds()[4]
		forger.install(t, m)
		victim.install(t, m)
		text := "hostile-forged-line"
		forger.get(t, m, "forge", url.Values{"unit": {victim.name + "@1.service"}, "app": {victim.name}, "text": {text}})
		m.AwaitJournal(t, text)
		wantWithout(t, "logs "+victim.name, m.Must(t, "logs", "--no-follow", victim.name).Stdout, text)
		// In the log of the app whose worker has sent the line, the source of the line must be the worker, and not
		// systemd.
		wantWithout(t, "logs "+forger.name, m.Must(t, "logs", "--no-follow", "--json", forger.name).Stdout,
			`"source":"systemd","message":"`+text)
	})
}

// TestChangedConfigGivesNoRights changes clusterctl.yaml as the user of the workers, so that it contains "run-as: root",
// and then runs apply. The worker must not run as root afterwards.
func TestChangedConfigGivesNoRights(t *testing.T) {
	onEach(t, func(t *testing.T, m *kit.Machine, k kind) {
		who := k.user()
		if who == "" || who == "root" {
			return // only root may change the file of this app
		}
		m.WriteFile(t, k.path("hostile.yaml"), strings.Replace(k.config(), "run-as: "+who,
			"run-as: root\n    sandbox: off\n    listen: [127.0.0.1:"+fmt.Sprint(k.port)+"]", 1), 0o644)
		m.Sh(t, fmt.Sprintf("chown %s: %s && runuser -u %[1]s -- mv -f %[2]s %s", who, k.path("hostile.yaml"), k.path("clusterctl.yaml")))
		for _, args := range [][]string{{}, {"--yes"}} {
			r := m.Clusterctl(t, append(append([]string{"apply"}, args...), k.path("clusterctl.yaml"))...)
			t.Logf("clusterctl apply %v: %v", args, r)
			if uid := m.Sh(t, "ps -o uid= -p $(systemctl show -p MainPID --value "+k.name+"@1)"); strings.TrimSpace(uid) == "0" {
				t.Errorf("the worker runs as root after apply %v: %v", args, r)
			}
		}
	})
}

// TestSharedMemoryIsPrivate creates files in /dev/shm, /tmp and /var/tmp of the machine. The worker must not be able to
// see these files.
func TestSharedMemoryIsPrivate(t *testing.T) {
	onEach(t, func(t *testing.T, m *kit.Machine, k kind) {
		pid := m.MainPID(t, k.name+"@1.service")
		for _, dir := range []string{"/dev/shm", "/tmp", "/var/tmp"} {
			m.Sh(t, fmt.Sprintf("echo host >%s/hostile-%s", dir, k.name))
			if r := m.Try(fmt.Sprintf("test -e /proc/%d/root%s/hostile-%s", pid, dir, k.name)); r.Code == 0 {
				t.Errorf("a file in %s of the machine is visible to the worker", dir)
			}
			m.Sh(t, "rm "+dir+"/hostile-"+k.name)
		}
	})
}
