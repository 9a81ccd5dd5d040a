package guard

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/trust"
	"github.com/clusterctl/clusterctl/units"
)

// guardWorld returns an app in a directory of the user "nobody". Root owns the app's program, and "nobody" owns its
// environment file.
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

// The method resolve replaces the app *a by the app that Guard.Resolve returns.
func (w *world) resolve(a *units.App) (err error) {
	*a, err = w.Resolve(*a)
	return err
}

func notReached(err error) bool {
	var e *fault.NotReached
	return errors.As(err, &e)
}

func TestResolveEnvFiles(t *testing.T) {
	w, a := guardWorld(t)
	own := a.Directory + "/.env"
	etc := w.file(t, "etc/web.env", "", 0o600)
	open := w.file(t, "etc/open.env", "", 0o644)
	a.EnvFiles = []units.EnvFile{{Path: etc}, {Path: own, Optional: true}, {Path: open}}
	if err := w.resolve(&a); err != nil {
		t.Fatal(err)
	}
	want := []units.EnvFile{{Path: etc}, {Path: own, Optional: true, ByWorker: true}, {Path: open, ByWorker: true}}
	if !slices.Equal(a.EnvFiles, want) || len(a.Trust) > 0 || !strings.Contains(w.notes.String(), own+" is read as user nobody") {
		t.Errorf("got the files %+v, trust %q, notes %q", a.EnvFiles, a.Trust, w.notes.String())
	}
	// The workers' user may change the first file, so the shim reads both files as this user. The user cannot read the
	// second file.
	bad := a
	bad.EnvFiles = []units.EnvFile{{Path: own}, {Path: etc}}
	if err := w.resolve(&bad); err == nil || fault.Hint(err) != "name "+etc+" before "+own {
		t.Errorf("got error %v, hint %q", err, fault.Hint(err))
	}
	// Only root can read this file, and the user nobody may replace it.
	secret := w.file(t, "srv/app/secret.env", "", 0o600)
	bad.EnvFiles = []units.EnvFile{{Path: secret}}
	if err := w.resolve(&bad); err == nil || !strings.Contains(err.Error(), "is read as root, and user nobody owns "+a.Directory) ||
		fault.Hint(err) != "install -m 600 "+secret+" /etc/web.env, and --env-file /etc/web.env" {
		t.Errorf("got error %v, hint %q", err, fault.Hint(err))
	}
	// An app that an older clusterctl has installed lacks ByWorker. The hint of a reload is then the command apply.
	bad.EnvFiles = []units.EnvFile{{Path: own}}
	if err := w.StillSafe(bad, "/etc/clusterctl/web.yaml"); !notReached(err) ||
		fault.Hint(err) != "sudo clusterctl apply -f /etc/clusterctl/web.yaml" {
		t.Errorf("got error %v, hint %q", err, fault.Hint(err))
	}
	if err := w.StillSafe(a, ""); err != nil {
		t.Error(err)
	}
}

// TestResolveEnvFilesOfRoot checks that PID 1 does not read an environment file that sandboxed workers of root could replace
// by a link.
func TestResolveEnvFilesOfRoot(t *testing.T) {
	w := newWorld(t)
	dir, data := w.mkdir(t, "srv/app", 0o755), w.mkdir(t, "data", 0o755)
	own, link, etc := dir+"/.env", w.dir+"/etc/link.env", w.file(t, "etc/web.env", "", 0o600)
	theirs := w.file(t, "srv/app/theirs.env", "", 0o600)
	if err := errors.Join(os.Symlink(data+"/x.env", link), os.Chown(theirs, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	app := units.App{Name: "web", Command: []string{"/bin/true"}, Directory: dir, RunAs: units.RunAs{User: "root"},
		Writable: []string{data}}
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
		w.notes.Reset()
		tt.app.EnvFiles = []units.EnvFile{{Path: tt.path, Optional: true}}
		c, err := w.newCheck(tt.app)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.resolveEnvFiles(); err != nil || c.app.EnvFiles[0].ByWorker != tt.want ||
			strings.Contains(w.notes.String(), "is read in the sandbox") != tt.want {
			t.Errorf("%s: got error %v, files %+v, notes %q", name, err, c.app.EnvFiles, w.notes.String())
		}
	}
}

// TestCallerIsTrusted checks that a path is safe if only the caller of sudo may change it. A later reload by another user
// must also accept the path.
func TestCallerIsTrusted(t *testing.T) {
	w, a := guardWorld(t)
	a.RunAs.User = "root"
	err := w.resolve(&a)
	if err == nil ||
		!strings.Contains(err.Error(), "the program \""+a.Command[0]+"\" decides what root runs, and user nobody owns "+a.Directory) ||
		!strings.Contains(fault.Hint(err), "chown root "+a.Directory+", or --trust nobody") {
		t.Errorf("got error %v, hint %q", err, fault.Hint(err))
	}
	w.Caller = 65534
	if err := w.resolve(&a); err != nil || !slices.Equal(a.Trust, []string{"nobody"}) {
		t.Errorf("by sudo: got error %v, trust %q", err, a.Trust)
	}
	// For a user without an entry in /etc/passwd, Trust must have the same name as CallerName returns.
	w.Caller = 4294967
	other := a
	other.Trust = nil
	c, err := w.newCheck(other)
	if err != nil {
		t.Fatal(err)
	}
	if c.byCaller = true; !slices.Equal(c.resolvedApp().Trust, []string{w.CallerName()}) {
		t.Errorf("got trust %q, want %s", c.resolvedApp().Trust, w.CallerName())
	}
	w.Caller = 0
	if err := w.StillSafe(a, ""); err != nil {
		t.Errorf("a reload by root: got error %v, want none", err)
	}
	a.Trust = []string{"no-such-user"}
	if err := w.resolve(&a); err == nil || !strings.Contains(err.Error(), `there is no user "no-such-user"`) {
		t.Errorf("got error %v", err)
	}
	// Even if the workers' user is the caller, PID 1 must not read a file that this user may change.
	w.Caller = 65534
	a.RunAs.User, a.Trust, a.EnvFiles = "nobody", []string{"nobody"}, []units.EnvFile{{Path: a.Directory + "/.env"}}
	if err := w.resolve(&a); err != nil || !a.EnvFiles[0].ByWorker {
		t.Errorf("got error %v, files %+v", err, a.EnvFiles)
	}
}

func TestUnsafePaths(t *testing.T) {
	w, a := guardWorld(t)
	wide := w.mkdir(t, "wide", 0o777)
	data := w.mkdir(t, "wide/data", 0o755)
	a.Writable = []string{data}
	a.Listen = []units.Listener{{Network: units.Unix, Path: a.Directory + "/sock/x.sock"},
		{Network: units.Unix, Path: a.Directory + "/y.sock"}}
	w.mkdir(t, "srv/app/sock", 0o755)
	all := w.Unsafe(a)
	var got []string
	for _, p := range all {
		got = append(got, p.What+" "+strings.TrimPrefix(p.Path, w.dir)+": "+strings.ReplaceAll(p.Who(), w.dir, ""))
	}
	want := []string{"writable /wide/data: everybody may write /wide", "listen /srv/app/sock: user nobody owns /srv/app"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	text, err := json.Marshal(all[0])
	if err != nil || string(text) != `{"what":"writable","path":"`+data+`","writers":[{"path":"`+wide+`","reason":"everybody"}]}` {
		t.Errorf("got %s, error %v", text, err)
	}
	// If another user owns the program, the guard prints a note. If everybody may write the program, the guard returns an
	// error.
	a.Writable, a.Listen = nil, nil
	w.notes.Reset()
	if err := errors.Join(os.Chown(a.Command[0], 1, 0), w.resolve(&a)); err != nil ||
		!strings.Contains(w.notes.String(), "program: "+a.Command[0]+": user daemon owns "+a.Command[0]) {
		t.Errorf("got error %v, notes %q", err, w.notes.String())
	}
	if err := os.Chmod(a.Command[0], 0o757); err != nil {
		t.Fatal(err)
	}
	if err := w.resolve(&a); err == nil || !strings.Contains(err.Error(), "is what the app runs, and user daemon owns") {
		t.Errorf("got error %v", err)
	}
}

func TestWriterString(t *testing.T) {
	for _, tt := range []struct {
		w             Writer
		text, command string
	}{
		{Writer{"/a b", trust.Owner, "ann", nil}, "user ann owns /a b", "chown root '/a b'"},
		{Writer{"/a", trust.Group, "devs", []string{"ann", "bob"}}, "group devs (ann, bob) may write /a", "chmod g-w /a"},
		{Writer{"/a", trust.Group, "4999", nil}, "group 4999 may write /a", "chmod g-w /a"},
		{Writer{"/a", trust.ACLUser, "ann", nil}, "user ann may write /a (ACL)", "setfacl -x u:ann /a"},
		{Writer{"/a", trust.ACLGroup, "devs", nil}, "group devs may write /a (ACL)", "setfacl -x g:devs /a"},
		{Writer{"/a", trust.Everybody, "", nil}, "everybody may write /a", "chmod o-w /a"},
		{Writer{"/tmp", trust.Everybody, "", nil}, "everybody may write /tmp",
			"use a directory below /etc, /opt or /srv instead of /tmp"},
	} {
		if got := tt.w.String(); got != tt.text {
			t.Errorf("got %q, want %q", got, tt.text)
		}
		if got := tt.w.command(); got != tt.command {
			t.Errorf("got the command %q, want %q", got, tt.command)
		}
	}
}
