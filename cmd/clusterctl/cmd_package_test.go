package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/outputschema"
	"github.com/clusterctl/clusterctl/packaging/apppkg/deb"
)

// createApp creates the directory of an app, and a clusterctl.yaml that describes the app. It returns the path of
// the directory and the path of the file.
func createApp(t *testing.T) (dir, file string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "shop")
	for name, data := range map[string]string{
		"server.js": "//", "package.json": `{"name": "shop", "version": "1.2.3-rc.1", "description": "sells things"}`,
		".env": "SECRET=1", ".git/HEAD": "ref",
		"lib/x.js": "//", "clusterctl.yaml": "name: shop\nenv: {API_TOKEN: x}\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file = filepath.Join(t.TempDir(), "clusterctl.yaml")
	yaml := "name: shop\ncommand: [/bin/sh, server.js]\ndirectory: " + dir + "\nlisten: [8080]\nactivation: native\n"
	if err := os.WriteFile(file, []byte(yaml), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir, file
}

func TestPackage(t *testing.T) {
	dir, file := createApp(t)
	w := newWorld(t)
	w.env.lookPath = exec.LookPath
	out := t.TempDir()
	args := []string{"package", file, "--output", out, "--systemd-version", "252", "--maintainer", "A B <a@b.example>", "--json"}
	if code := w.do(args...); code != exitDone {
		t.Fatalf("got status %d, stderr %s", code, w.err.String())
	}
	if err := outputschema.Check("package", w.out.Bytes()); err != nil {
		t.Errorf("got error %v\nstdout %s", err, w.out.String())
	}
	var result struct{ Packages []deb.Result }
	if err := json.Unmarshal(w.out.Bytes(), &result); err != nil {
		t.Fatal(err)
	}
	r := result.Packages[0]
	if r.Path != filepath.Join(out, "shop_1.2.3~rc.1_all.deb") || len(r.LeftOut) != 1 || r.LeftOut[0] != filepath.Join(dir, ".env") {
		t.Errorf("got %+v", r)
	}
	if !strings.Contains(w.err.String(), "omitted, because it looks like a secret: "+filepath.Join(dir, ".env")) {
		t.Errorf("the note about the secret is missing: got stderr %s", w.err.String())
	}
	list, err := exec.Command("dpkg-deb", "-c", r.Path).CombinedOutput()
	if err != nil {
		t.Fatalf("dpkg-deb -c: got error %v\n%s", err, list)
	}
	for path, want := range map[string]bool{
		"./usr/lib/clusterctl-apps/shop/app/server.js": true, "./usr/lib/clusterctl-apps/shop/app/lib/x.js": true,
		"/app/.env": false, ".git": false, "/app/clusterctl.yaml": false,
		"./usr/lib/systemd/system/shop@.service -> /opt/clusterctl-apps/shop/current/units/shop@.service": true,
	} {
		if strings.Contains(string(list), path) != want {
			t.Errorf("%s: got %v for \"is in the package\", want %v\n%s", path, !want, want, list)
		}
	}
	if info, err := exec.Command("dpkg-deb", "-f", r.Path, "Depends", "Suggests", "Description").CombinedOutput(); err != nil ||
		!strings.HasPrefix(string(info), "Depends: systemd (>= 252~), dash\nSuggests: clusterctl\nDescription: sells things\n") {
		t.Errorf("got error %v\noutput %s", err, info)
	}
	// A second package of the same files is identical to the first.
	first, err := os.ReadFile(r.Path)
	if err != nil {
		t.Fatal(err)
	}
	if code := w.do(args...); code != exitDone {
		t.Fatalf("again: got status %d, stderr %s", code, w.err.String())
	}
	second, err := os.ReadFile(r.Path)
	if err != nil || string(first) != string(second) {
		t.Errorf("the second package differs: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(out, ".*")); err != nil || len(left) > 0 {
		t.Errorf("got temporary files %q, want none", left)
	}
	// --include adds a file that looks like a secret.
	if code := w.do(append(args, "--include", filepath.Join(dir, ".env"))...); code != exitDone ||
		strings.Contains(w.err.String(), "omitted") {
		t.Errorf("--include: got status %d, stderr %s", code, w.err.String())
	}
}

func TestPackageErrors(t *testing.T) {
	dir, file := createApp(t)
	w := newWorld(t)
	w.env.lookPath = exec.LookPath
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"package", filepath.Join(dir, "no.yaml")}, exitFailed, "no such file"},
		{[]string{"package", "nobody"}, exitFailed, `there is no app "nobody"`},
		{[]string{"package", file, "--cpus", "0"}, exitUsage, "--cpus"},
		{[]string{"package", file, "--package-version", "v1"}, exitUsage, "1.2.3"},
		{[]string{"package", file, "--maintainer", "me"}, exitUsage, "Jane Doe"},
		{[]string{"package", file, "--depends", "x y"}, exitUsage, "nodejs"},
		{[]string{"package", file, "--include", filepath.Join(dir, "nothing")}, exitFailed, "hint: ls -l"},
		{[]string{"package", file, "--systemd-version", "200"}, exitUsage, "247"},
		{[]string{"package", file, "--output", file}, exitFailed, file},
	} {
		args := append(c.args, "-q")
		if !strings.Contains(strings.Join(args, " "), "--systemd-version") {
			args = append(args, "--systemd-version", "252")
		}
		if code := w.do(args...); code != c.code || !strings.Contains(w.err.String(), c.says) || w.out.Len() > 0 {
			t.Errorf("%q: got status %d, stderr %s", c.args, code, w.err.String())
		}
	}
}

// TestPackagePublishesNoSecret: everyone can read a package, so a variable that looks like a secret is an error.
func TestPackagePublishesNoSecret(t *testing.T) {
	_, file := createApp(t)
	w := newWorld(t)
	w.env.lookPath = exec.LookPath
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for env, want := range map[string]string{
		"{DB_PASSWORD: hunter2, PORT: 1, STRIPE_KEY: hunter2}": "env: DB_PASSWORD, STRIPE_KEY would be public",
		"{DATABASE_URL: \"postgres://a:hunter2@h/\"}":          "env: DATABASE_URL would be public",
	} {
		if err := os.WriteFile(file, append(slices.Clone(data), "env: "+env+"\n"...), 0o644); err != nil {
			t.Fatal(err)
		}
		out := t.TempDir()
		code := w.do("package", file, "--output", out, "--systemd-version", "252")
		if got := w.err.String(); code != exitFailed || !strings.Contains(got, want) ||
			!strings.Contains(got, "env-files: [/etc/clusterctl-apps/shop/env]") || strings.Contains(got, "hunter2") {
			t.Errorf("%s: got status %d, stderr %s", env, code, got)
		}
		if left, err := os.ReadDir(out); err != nil || len(left) > 0 {
			t.Errorf("%s: got files %v, error %v, want no files", env, left, err)
		}
	}
}

// TestPackageNames checks that control characters in file names reach neither the terminal nor dpkg.
func TestPackageNames(t *testing.T) {
	dir, file := createApp(t)
	w := newWorld(t)
	w.env.lookPath = exec.LookPath
	args := []string{"package", file, "--output", t.TempDir(), "--systemd-version", "252"}
	odd := filepath.Join(dir, "\033]0;owned\007.pem")
	if err := os.WriteFile(odd, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if code := w.do(args...); code != exitDone || strings.ContainsAny(w.err.String(), "\033\007") {
		t.Errorf("got status %d, stderr %q", code, w.err.String())
	}
	if err := os.Rename(odd, filepath.Join(dir, "x\ny")); err != nil {
		t.Fatal(err)
	}
	if code := w.do(args...); code != exitFailed || !strings.Contains(w.err.String(), "control character") ||
		!strings.Contains(w.err.String(), "hint: rename it") {
		t.Errorf("got status %d, stderr %q", code, w.err.String())
	}
}

// TestPackageFollowsItsTop: the directory of an app may be a symbolic link, such as "current". The package holds the files
// of its target. Symbolic links inside the directory stay links.
func TestPackageFollowsItsTop(t *testing.T) {
	dir, file := createApp(t)
	top := filepath.Join(t.TempDir(), "deploy", "current")
	data, err := os.ReadFile(file)
	if err := errors.Join(err, os.MkdirAll(filepath.Dir(top), 0o755), os.Symlink(dir, top),
		os.Symlink("/usr/share/x", filepath.Join(dir, "x")), os.Symlink("../y", filepath.Join(dir, "y")),
		os.WriteFile(file, []byte(strings.ReplaceAll(string(data), dir, top)), 0o644)); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.env.lookPath = exec.LookPath
	out := t.TempDir()
	if code := w.do("package", file, "--output", out, "--systemd-version", "252", "--package-version", "1"); code != exitDone ||
		!strings.Contains(w.err.String(), "may be broken on the target: "+top+"/y -> ../y\n") {
		t.Fatalf("got status %d, stderr %s", code, w.err.String())
	}
	list, err := exec.Command("dpkg-deb", "-c", filepath.Join(out, "shop_1_all.deb")).CombinedOutput()
	if err != nil || !strings.Contains(string(list), "/app/lib/x.js\n") || !strings.Contains(string(list), "/app/x -> /usr/share/x\n") {
		t.Errorf("dpkg-deb -c: got error %v\n%s", err, list)
	}
}
