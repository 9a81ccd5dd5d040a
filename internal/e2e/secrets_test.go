//go:build lab

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/outputschema"
	"github.com/clusterctl/clusterctl/units"
)

// setSecret runs "clusterctl secret set" with the value on standard input, and returns stderr.
func setSecret(t testing.TB, m *kit.Machine, app, name, value string) string {
	t.Helper()
	m.WriteFile(t, "/root/secret", value, 0o600)
	defer m.Sh(t, "rm /root/secret")
	r := m.Try(kit.Ctl + " secret set " + app + " " + name + " < /root/secret")
	if r.Code != 0 {
		t.Fatalf("secret set %s %s: %v", app, name, r)
	}
	return r.Stderr
}

// credential returns the contents of a file in the worker's $CREDENTIALS_DIRECTORY.
func credential(t testing.TB, a kit.App, name string) string {
	t.Helper()
	return a.Machine.Sh(t, "curl -sS '"+a.URL("/credential?name=")+name+"'")
}

// TestSecretsAreNowhere searches the files, processes, units and logs of the machine for the values of variables and
// secrets of an app, as an unprivileged user. No search may find a value.
func TestSecretsAreNowhere(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm, lab.Trixie}, func(t *testing.T, m *kit.Machine) {
		const variable, secret, oldVariable = "hunter2variable", "hunter2secret", "hunter2before"
		setSecret(t, m, "nowhere", "API_KEY", secret)
		a := kit.InstallNative(t, m, "nowhere", 2, 8640, "--run-as", "dynamic", "--env", "DB_PASSWORD="+oldVariable,
			"--secret-env", "API_KEY", "--", worker)
		r := m.Must(t, installArgs(a, 8640, "--run-as", "dynamic", "--env", "DB_PASSWORD="+variable, "--env", "PLAIN=8x8",
			"--secret-env", "API_KEY", "--", worker)...)
		if !strings.Contains(r.Stderr, "DB_PASSWORD looks like a secret") || !strings.Contains(r.Stderr, "secret set nowhere DB_PASSWORD") {
			t.Errorf("clusterctl install does not print a warning for the variable DB_PASSWORD on the command line: %v", r)
		}
		about := a.Machine.Get(t, a.URL("/about"))
		for _, want := range []string{"DB_PASSWORD=" + variable, "API_KEY=" + secret, "PLAIN=8x8"} {
			if !strings.Contains(about, `"`+want+`"`) {
				t.Errorf("the environment of the worker does not contain %s: %s", want, about)
			}
		}
		if got := credential(t, a, "API_KEY"); got != secret {
			t.Errorf("the credential API_KEY is %q, want %q", got, secret)
		}
		m.Must(t, "reload", "nowhere")
		for _, script := range searches() {
			r := m.Run(t.Context(), kit.AsNobody("sh", "-c", script)...)
			if strings.Contains(r.Stdout+r.Stderr, "hunter2") {
				t.Errorf("an unprivileged user finds a value with %s: %v", script, r)
			}
		}
		if r := m.Run(t.Context(), kit.AsNobody(kit.Ctl, "secret", "ls", "nowhere")...); r.Code != notAllowed ||
			!strings.Contains(r.Stderr, hint+"sudo clusterctl secret ls nowhere") {
			t.Errorf("clusterctl secret ls as an unprivileged user: want exit status %d and a hint: %v", notAllowed, r)
		}
		// Also for root, the commands must mask the secret API_KEY and the variable DB_PASSWORD.
		for _, args := range [][]string{{"cat", "nowhere"}, {"env", "nowhere"}, {"env", "nowhere", "--running"},
			{"env", "nowhere", "--json"}, {"show", "nowhere", "--revisions"}, {"secret", "ls", "nowhere", "--json"}} {
			if r := m.Must(t, args...); strings.Contains(r.Stdout+r.Stderr, "hunter2") {
				t.Errorf("%v prints a value, want a mask: %v", args, r)
			}
		}
		if r := m.Try("grep -rlaF hunter2 /run/clusterctl /etc/systemd /run/systemd/system /run/systemd/transient"); r.Stdout != "" {
			t.Errorf("these files contain a value: %s", r.Stdout)
		}
		env := m.Must(t, "env", "nowhere", "--json")
		if err := outputschema.Check("env", []byte(env.Stdout)); err != nil {
			t.Errorf("clusterctl env --json: %v\n%s", err, env.Stdout)
		}
		r = m.Run(t.Context(), kit.AsNobody(kit.Ctl, "env", "nowhere")...)
		if r.Code != 0 || !strings.Contains(r.Stdout, "# PLAIN (needs root)") {
			t.Errorf("clusterctl env as an unprivileged user: want exit status 0 and \"# PLAIN (needs root)\": %v", r)
		}
		r = m.Run(t.Context(), kit.AsNobody(kit.Ctl, "show", "nowhere")...)
		if r.Code != 0 || strings.Contains(r.Stdout, "changed") {
			t.Errorf("clusterctl show as an unprivileged user: want exit status 0 and no changed file: %v", r)
		}
		if r := m.Must(t, "env", "nowhere"); !strings.Contains(r.Stdout, "PLAIN=8x8") ||
			!strings.Contains(r.Stdout, "DB_PASSWORD=********") {
			t.Errorf("clusterctl env as root: want the value of PLAIN and a mask for DB_PASSWORD: %v", r)
		}
		if got := m.Sh(t, "stat -c '%a %U %G' /etc/clusterctl/nowhere.env /etc/clusterctl/nowhere.secrets "+
			"/etc/clusterctl/nowhere.secrets/* /etc/clusterctl/nowhere.yaml"); got !=
			"600 root root\n700 root root\n600 root root\n644 root root" {
			t.Errorf("got the modes and owners %s, want the modes 600, 700, 600 and 644 and the owner root", got)
		}
		m.Must(t, "uninstall", "--yes", "nowhere")
		if files := m.Sh(t, "find /etc /var/lib/clusterctl /run -path /run/systemd/units -prune -o -path '*nowhere*' "+
			"-print 2>/dev/null || true"); files != "" {
			t.Errorf("these files exist after the uninstall, want none: %s", files)
		}
	})
}

// The function searches returns scripts that search the machine for the values of the app "nowhere", and print the
// values that they find.
func searches() []string {
	return []string{
		"grep -rsa 'hunter[2]' /etc /run /var /usr/lib /tmp /home /dev/shm",
		"cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep -a 'hunter[2]'",
		"systemctl show 'nowhere*' nowhere@1 nowhere@2 nowhere --all", "systemctl cat 'nowhere@1' nowhere",
		"journalctl --no-pager -q -o json --all",
		"systemctl status --no-pager nowhere@1",
		kit.Ctl + " show nowhere", kit.Ctl + " show nowhere --json", kit.Ctl + " ls --json", kit.Ctl + " env nowhere",
		kit.Ctl + " env nowhere --json --show-secrets",
		kit.Ctl + " diff --all", kit.Ctl + " cat nowhere", kit.Ctl + " secret ls nowhere",
		kit.Ctl + " secret ls nowhere --json", kit.Ctl + " show nowhere --revisions",
		kit.Ctl + " scale nowhere 3", "cat /etc/clusterctl/nowhere.env", "ls /etc/clusterctl/nowhere.secrets",
		"busctl get-property org.freedesktop.systemd1 /org/freedesktop/systemd1/unit/nowhere_401_2eservice " +
			"org.freedesktop.systemd1.Service Environment",
	}
}

// TestSecrets checks that the workers of a dynamic user, a system user and root get secrets as files and as variables,
// also in a user namespace. The workers must have a new value only after a reload.
func TestSecrets(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		m.Sh(t, "id cc-keeper >/dev/null 2>&1 || useradd --system cc-keeper")
		for i, user := range []string{"dynamic", "cc-keeper", "root"} {
			t.Run(user, func(t *testing.T) {
				name, port := "keeps-"+strings.TrimPrefix(user, "cc-"), 8650+i
				stderr := setSecret(t, m, name, "TOKEN", "first\n")
				encrypted := m.Systemd(t) >= units.EncryptedSecrets
				if strings.Contains(stderr, "not encrypted") == encrypted ||
					!strings.Contains(stderr, "is not installed yet") {
					t.Errorf("secret set: want \"is not installed yet\", and \"not encrypted\" only without encryption: %s",
						stderr)
				}
				setSecret(t, m, name, "cert.pem", "line 1\nline 2 \n")
				a := kit.InstallNative(t, m, name, 2, port, "--run-as", user, "--secret-env", "TOKEN", "--", worker)
				wantSecrets(t, a, "first")
				if unit := m.ReadFile(t, "/etc/systemd/system/"+name+"@.service.d/50-secrets.conf"); strings.Contains(unit,
					"\nLoadCredentialEncrypted=TOKEN:") != encrypted {
					t.Errorf("systemd %d: want LoadCredentialEncrypted= only with encryption:\n%s", m.Systemd(t), unit)
				}
				setSecret(t, m, name, "TOKEN", "second")
				wantSecrets(t, a, "first")
				m.Must(t, "reload", name)
				wantSecrets(t, a, "second")
				m.WriteFile(t, "/etc/systemd/system/"+name+"@.service.d/user.conf",
					"[Service]\nPrivateUsers=yes\nInaccessiblePaths=-/etc/clusterctl\n", 0o644)
				m.Sh(t, "systemctl daemon-reload")
				m.Must(t, "reload", name)
				wantSecrets(t, a, "second")
				// After a reload, a new secret must exist, and a deleted secret must not exist.
				setSecret(t, m, name, "EXTRA", "third")
				m.Must(t, "secret", "rm", name, "cert.pem")
				m.Must(t, "reload", name)
				if got := credential(t, a, "EXTRA"); got != "third" {
					t.Errorf("the credential EXTRA is %q, want \"third\"", got)
				}
				if got := credential(t, a, "cert.pem"); !strings.Contains(got, "no such file") {
					t.Errorf("the deleted credential cert.pem is %q, want \"no such file\"", got)
				}
				r := m.Must(t, "secret", "ls", name, "--json")
				if err := outputschema.Check("secret", []byte(r.Stdout)); err != nil ||
					strings.Count(r.Stdout, `"encrypted": `+fmt.Sprint(encrypted)) != 2 {
					t.Errorf("clusterctl secret ls --json: want two secrets whose \"encrypted\" is %v: %v\n%s", encrypted, err, r.Stdout)
				}
				if r := m.Must(t, "show", name, "--json"); strings.Contains(r.Stdout, "50-secrets.conf") ||
					!strings.Contains(r.Stdout, `"drift": []`) {
					t.Errorf("clusterctl show --json reports the drop-in with the secrets, or another changed file: %s",
						r.Stdout)
				}
				m.Sh(t, "rm /etc/systemd/system/"+name+"@.service.d/user.conf && systemctl daemon-reload")
				a.Uninstall(t)
				if files := m.Sh(t, "find /etc /var/lib/clusterctl -path '*"+name+"*' 2>/dev/null || true"); files != "" {
					t.Errorf("these files exist after the uninstall, want none: %s", files)
				}
			})
		}
	})
}

// wantSecrets fails the test unless the worker has the variable TOKEN and the file TOKEN. The variable and the file must
// contain the parameter token. The file cert.pem must end with a space and a newline.
func wantSecrets(t testing.TB, a kit.App, token string) {
	t.Helper()
	if about := a.Machine.Get(t, a.URL("/about")); !strings.Contains(about, `"TOKEN=`+token+`"`) {
		t.Errorf("the environment of the worker does not contain TOKEN=%s: %s", token, about)
	}
	if got := credential(t, a, "TOKEN"); got != token {
		t.Errorf("the credential TOKEN is %q, want %q", got, token)
	}
	if got := a.Machine.Sh(t, "curl -sS '"+a.URL("/credential?name=cert.pem' | od -c | head -2")); !strings.Contains(got, `2      \n`) {
		t.Errorf("the credential cert.pem does not end with a space and a newline:\n%s", got)
	}
}

// TestMissingSecretIsRefused runs commands for an app after a secret or the value of a variable was removed. The commands
// must fail before they stop an instance.
func TestMissingSecretIsRefused(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		r := m.Clusterctl(t, "install", "lacks", "-i", "1", "--listen", "8660", "--activation", "native",
			"--secret-env", "TOKEN", "--", worker)
		if r.Code != 1 || !strings.Contains(r.Stderr, "lacks: the secret TOKEN is not set") ||
			!strings.Contains(r.Stderr, hint+"sudo clusterctl secret set lacks TOKEN") {
			t.Errorf("install without the secret: want exit status 1 and a hint: %v", r)
		}
		if files := m.Sh(t, "find /etc /var/lib/clusterctl -path '*lacks*' 2>/dev/null || true"); files != "" {
			t.Errorf("these files exist after the refused install, want none: %s", files)
		}
		setSecret(t, m, "lacks", "TOKEN", "x")
		a := kit.InstallNative(t, m, "lacks", 1, 8660, "--secret-env", "TOKEN", "--env", "A=1", "--", worker)
		pids := a.PIDs(t)
		if r := m.Clusterctl(t, "secret", "rm", "lacks", "TOKEN"); r.Code != 1 || !strings.Contains(r.Stderr, "needs the secret TOKEN") {
			t.Errorf("secret rm of a secret that the app needs: want exit status 1: %v", r)
		}
		m.Sh(t, "mv /etc/clusterctl/lacks.secrets /root/")
		for _, args := range [][]string{{"reload", "lacks"}, {"restart", "lacks"},
			installArgs(a, 8660, "--secret-env", "TOKEN", "--env", "A=2", "--", worker)} {
			if r := m.Clusterctl(t, args...); r.Code != 1 || !strings.Contains(r.Stderr, "the secret TOKEN is not set") {
				t.Errorf("%v without the secret: want exit status 1: %v", args, r)
			}
		}
		m.Sh(t, "mv /root/lacks.secrets /etc/clusterctl/ && mv /etc/clusterctl/lacks.env /root/")
		if r := m.Clusterctl(t, "reload", "lacks"); r.Code != 1 ||
			!strings.Contains(r.Stderr, "/etc/clusterctl/lacks.env has no value for A") {
			t.Errorf("reload without the file lacks.env: want exit status 1 and the name of the variable: %v", r)
		}
		kit.WantNotReplaced(t, pids, a.PIDs(t))
		m.Sh(t, "mv /root/lacks.env /etc/clusterctl/")
		m.Must(t, "reload", "lacks")
	})
}

// TestProbeHasValuesAndSecrets installs a program that needs its variables and its secret also during the probe. The
// probe must delete the files with the values.
func TestProbeHasValuesAndSecrets(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bullseye, lab.Trixie}, func(t *testing.T, m *kit.Machine) {
		const program = "import http.server, os\nassert os.environ['KEY'] == 'k 1'\n" +
			"http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), http.server.SimpleHTTPRequestHandler).serve_forever()\n"
		m.WriteFile(t, "/srv/probed/probed.py", program, 0o644)
		setSecret(t, m, "probed", "KEY", "k 1")
		t.Cleanup(func() { m.Clusterctl(t, "uninstall", "--yes", "probed") })
		m.WriteFile(t, "/root/env", "# variables\nPORT=8663\nQUOTED=\"a\\\"b\"\n", 0o600)
		r := m.Try(kit.Ctl + " install /srv/probed/probed.py --secret-env KEY --env - < /root/env")
		if r.Code != 0 || !strings.Contains(r.Stdout, "8663") {
			t.Fatalf("install: want exit status 0 and the port 8663: %v", r)
		}
		if files := m.Sh(t, "find /run -name '*.probe.env' -o -name 'clusterctl--probe*'"); files != "" {
			t.Errorf("files of the probe still exist: %s", files)
		}
		if got := m.Sh(t, "tr '\\0' '\\n' < /proc/$(systemctl show -p MainPID --value probed@1)/environ | "+
			"grep -E '^(KEY|QUOTED)='"); !strings.Contains(got, `QUOTED=a"b`) || !strings.Contains(got, "KEY=k 1") {
			t.Errorf("the worker has the variables %q, want QUOTED and KEY", got)
		}
	})
}
