package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/clusterctl/clusterctl/activation/shim/envfile"
)

// TestEnvFiles: a variable of a file replaces a variable of the same name in an earlier file or in the environment. A
// variable that the shim sets replaces a variable of the same name in a file or in the environment.
func TestEnvFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	one, two := write("one", "A=1\nB=1\nINSTANCE=9\nPORT=3000\n# \\\nC=1\n"), write("two", "B=2\n")
	cmd := exec.Command(shim, "run", "--instance=2", "--increment=PORT", "--env-file="+one, "--env-file=-"+dir+"/missing",
		"--env-file="+two, "--", "/usr/bin/env")
	cmd.Env = []string{"A=0", "D=0"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	vars := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(vars)
	if want := []string{"A=1", "B=2", "C=1", "D=0", "INSTANCE=2", "NODE_APP_INSTANCE=1", "PORT=3001"}; !slices.Equal(vars, want) {
		t.Errorf("the program has the variables %q, want %q", vars, want)
	}
	for _, sub := range []string{"run", "probe"} {
		out, err := exec.Command(shim, sub, "--env-file="+dir+"/missing", "--", "/usr/bin/env").CombinedOutput()
		if err == nil || !strings.Contains(string(out), "clusterctl-shim: reading the environment file: open "+dir+"/missing") ||
			!strings.Contains(string(out), "clusterctl-shim: hint: ") {
			t.Errorf("%s with a missing file ended with %v, %q, want an error with a hint", sub, err, out)
		}
	}
}

func TestReadEnvFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, ".env")
	if err := os.WriteFile(path, []byte("A=1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := readEnvFile(path, envfile.Syntax{}); err != nil || !slices.Equal(got, []string{"A=1"}) {
		t.Errorf("readEnvFile returned %q, %v, want A=1", got, err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, []byte("A="+strings.Repeat("x", maxEnvFile)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{fifo, dir, large, filepath.Join(dir, "missing")} {
		if got, err := readEnvFile(bad, envfile.Syntax{}); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("readEnvFile(%s) = %q, %v, want an error", bad, got, err)
		}
	}
}
