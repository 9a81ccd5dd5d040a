package main

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/trust"
	"github.com/clusterctl/clusterctl/units"
)

// guardWorld makes a directory that nobody owns. Root owns the program in it, and nobody owns the environment file.
func guardWorld(t *testing.T) (*world, units.App) {
	t.Helper()
	w := newWorld(t)
	dir := w.mkdir(t, "srv/app", 0o755)
	program := w.file(t, "srv/app/run", "#!/bin/sh\n", 0o755)
	env := w.file(t, "srv/app/.env", "", 0o644)
	if err := errors.Join(os.Chown(dir, 65534, 65534), os.Chown(env, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	return w, units.App{Name: "web", Command: []string{program}, Directory: dir, RunAs: units.RunAs{User: "nobody"}}
}

func TestSettleEnvFiles(t *testing.T) {
	w, a := guardWorld(t)
	own := a.Directory + "/.env"
	etc := w.file(t, "etc/web.env", "", 0o600)
	open := w.file(t, "etc/open.env", "", 0o644)
	a.EnvFiles = []units.EnvFile{{Path: etc}, {Path: own, Optional: true}, {Path: open}}
	if err := w.settleTrust(&a); err != nil {
		t.Fatal(err)
	}
	want := []units.EnvFile{{Path: etc}, {Path: own, Optional: true, ByWorker: true}, {Path: open, ByWorker: true}}
	if !slices.Equal(a.EnvFiles, want) || len(a.Trust) > 0 || !strings.Contains(w.err.String(), own+" is read as user nobody") {
		t.Errorf("%+v, trust %q, %s", a.EnvFiles, a.Trust, w.err.String())
	}
	// The worker must be able to read files that come after a file of the worker.
	bad := a
	bad.EnvFiles = []units.EnvFile{{Path: own}, {Path: etc}}
	if err := w.settleTrust(&bad); err == nil || w.hintFor(err) != "name "+etc+" before "+own {
		t.Errorf("%v, hint %q", err, w.hintFor(err))
	}
	// Only root can read the file, and others may replace it.
	secret := w.file(t, "srv/app/secret.env", "", 0o600)
	bad.EnvFiles = []units.EnvFile{{Path: secret}}
	if err := w.settleTrust(&bad); err == nil || !strings.Contains(err.Error(), "is read as root, and user nobody owns "+a.Directory) || w.hintFor(err) != "install -m 600 "+secret+" /etc/web.env, and --env-file /etc/web.env" {
		t.Errorf("%v, hint %q", err, w.hintFor(err))
	}
	// An app that PM2's user installed before: a reload says how to go on.
	bad.EnvFiles = []units.EnvFile{{Path: own}}
	if err := w.stillSafe(bad); exitCode(err) != exitNotReached || w.hintFor(err) != "sudo clusterctl apply -f "+w.store.ConfigPath("web") {
		t.Errorf("%v, hint %q", err, w.hintFor(err))
	}
	if err := w.stillSafe(a); err != nil {
		t.Error(err)
	}
}

// TestSettleEnvFilesOfRoot: PID 1 does not read what workers of root in a sandbox may make a link.
func TestSettleEnvFilesOfRoot(t *testing.T) {
	w := newWorld(t)
	dir, data := w.mkdir(t, "srv/app", 0o755), w.mkdir(t, "data", 0o755)
	own, link, etc := dir+"/.env", w.dir+"/etc/link.env", w.file(t, "etc/web.env", "", 0o600)
	theirs := w.file(t, "srv/app/theirs.env", "", 0o600)
	if err := errors.Join(os.Symlink(data+"/x.env", link), os.Chown(theirs, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	app := units.App{Name: "web", Command: []string{"/bin/true"}, Directory: dir, RunAs: units.RunAs{User: "root"}, Writable: []string{data}}
	off, strict := app, app
	off.Sandbox, strict.Sandbox = units.SandboxOff, units.SandboxStrict
	for name, tt := range map[string]struct {
		app  units.App
		path string
		want bool
	}{
		"missing in the directory":    {app, own, true},
		"through a link":              {app, link, true},
		"in a writable tree":          {strict, data + "/y.env", true},
		"directory of a strict app":   {strict, own, false},
		"without a sandbox":           {off, own, false},
		"outside":                     {app, etc, false},
		"not readable in the sandbox": {app, theirs, false},
	} {
		w.err.Reset()
		tt.app.EnvFiles = []units.EnvFile{{Path: tt.path, Optional: true}}
		g, err := w.newGuard(tt.app)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.settleEnvFiles(); err != nil || g.app.EnvFiles[0].ByWorker != tt.want || strings.Contains(w.err.String(), "is read in the sandbox") != tt.want {
			t.Errorf("%s: %v, %+v, %s", name, err, g.app.EnvFiles, w.err.String())
		}
	}
}

// TestCallerIsTrusted: what only the caller of sudo may change is safe, and stays so for a reload by somebody else.
func TestCallerIsTrusted(t *testing.T) {
	w, a := guardWorld(t)
	a.RunAs.User = "root"
	err := w.settleTrust(&a)
	if err == nil || !strings.Contains(err.Error(), "the program \""+a.Command[0]+"\" decides what root runs, and user nobody owns "+a.Directory) ||
		!strings.Contains(w.hintFor(err), "chown root "+a.Directory+", or --trust nobody") {
		t.Errorf("%v, hint %q", err, w.hintFor(err))
	}
	w.vars["SUDO_UID"] = "65534"
	if err := w.settleTrust(&a); err != nil || !slices.Equal(a.Trust, []string{"nobody"}) {
		t.Errorf("by sudo: %v, trust %q", err, a.Trust)
	}
	// A user without an entry in /etc/passwd has one name in both places.
	w.vars["SUDO_UID"] = "4294967"
	other := a
	other.Trust = nil
	g, err := w.newGuard(other)
	if err != nil {
		t.Fatal(err)
	}
	if g.byCaller = true; !slices.Equal(g.decided().Trust, []string{w.callerName()}) {
		t.Errorf("trust %q of %s", g.decided().Trust, w.callerName())
	}
	delete(w.vars, "SUDO_UID")
	if err := w.stillSafe(a); err != nil {
		t.Errorf("a reload by root: %v", err)
	}
	a.Trust = []string{"no-such-user"}
	if err := w.settleTrust(&a); err == nil || !strings.Contains(err.Error(), `there is no user "no-such-user"`) {
		t.Errorf("%v", err)
	}
	// The worker is not trusted with what PID 1 reads, even where it is the caller.
	w.vars["SUDO_UID"] = "65534"
	a.RunAs.User, a.Trust, a.EnvFiles = "nobody", []string{"nobody"}, []units.EnvFile{{Path: a.Directory + "/.env"}}
	if err := w.settleTrust(&a); err != nil || !a.EnvFiles[0].ByWorker {
		t.Errorf("%v, %+v", err, a.EnvFiles)
	}
}

func TestUnsafePaths(t *testing.T) {
	w, a := guardWorld(t)
	wide := w.mkdir(t, "wide", 0o777)
	data := w.mkdir(t, "wide/data", 0o755)
	a.Writable = []string{data}
	a.Listen = []units.Listener{{Network: units.Unix, Path: a.Directory + "/sock/x.sock"}, {Network: units.Unix, Path: a.Directory + "/y.sock"}}
	w.mkdir(t, "srv/app/sock", 0o755)
	all := w.unsafeOf(a)
	var got []string
	for _, p := range all {
		got = append(got, p.What+" "+strings.TrimPrefix(p.Path, w.dir)+": "+strings.ReplaceAll(p.who(), w.dir, ""))
	}
	want := []string{"writable /wide/data: everybody may write /wide", "listen /srv/app/sock: user nobody owns /srv/app"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	data2, err := json.Marshal(all[0])
	if err != nil || string(data2) != `{"what":"writable","path":"`+data+`","writers":[{"path":"`+wide+`","reason":"everybody"}]}` {
		t.Errorf("%s, %v", data2, err)
	}
	// A group is noted, everybody is refused.
	a.Writable, a.Listen = nil, nil
	w.err.Reset()
	if err := errors.Join(os.Chown(a.Command[0], 1, 0), w.settleTrust(&a)); err != nil || !strings.Contains(w.err.String(), "program: "+a.Command[0]+": user daemon owns "+a.Command[0]) {
		t.Errorf("%v, %q", err, w.err.String())
	}
	if err := os.Chmod(a.Command[0], 0o757); err != nil {
		t.Fatal(err)
	}
	if err := w.settleTrust(&a); err == nil || !strings.Contains(err.Error(), "is what the app runs, and user daemon owns") {
		t.Errorf("%v", err)
	}
}

func TestWriterWords(t *testing.T) {
	for _, tt := range []struct {
		w             pathWriter
		text, command string
	}{
		{pathWriter{"/a b", trust.Owner, "ann", nil}, "user ann owns /a b", "chown root '/a b'"},
		{pathWriter{"/a", trust.Group, "devs", []string{"ann", "bob"}}, "group devs (ann, bob) may write /a", "chmod g-w /a"},
		{pathWriter{"/a", trust.Group, "4999", nil}, "group 4999 may write /a", "chmod g-w /a"},
		{pathWriter{"/a", trust.ACLUser, "ann", nil}, "user ann may write /a (ACL)", "setfacl -x u:ann /a"},
		{pathWriter{"/a", trust.ACLGroup, "devs", nil}, "group devs may write /a (ACL)", "setfacl -x g:devs /a"},
		{pathWriter{"/a", trust.Everybody, "", nil}, "everybody may write /a", "chmod o-w /a"},
		{pathWriter{"/tmp", trust.Everybody, "", nil}, "everybody may write /tmp", "put it into a directory below /etc, /opt or /srv instead of /tmp"},
	} {
		if got := tt.w.String(); got != tt.text {
			t.Errorf("%q, want %q", got, tt.text)
		}
		if got := tt.w.command(); got != tt.command {
			t.Errorf("%q, want %q", got, tt.command)
		}
	}
}
