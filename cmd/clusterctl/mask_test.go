package main

import (
	"os"
	"strings"
	"testing"
)

// TestEnvFlag checks that --env reads values from standard input and from the environment of the caller, and that it prints
// a warning if a value on the command line looks secret.
func TestEnvFlag(t *testing.T) {
	w := newWorld(t)
	w.vars["FROM_HERE"] = "h e r e"
	w.stdin = strings.NewReader("# comment\nA=1\nQUOTED=\"a \\\"b\\\"\nc \"\n")
	dir := w.dir + "/made"
	code := w.do("generate", "x", "--no-listen", "-e", "FIRST=0", "--env", "-", "--env", "FROM_HERE", "-o", dir, "--", "/bin/true")
	data, err := os.ReadFile(dir + "/x.env")
	if code != exitDone || err != nil ||
		!strings.HasSuffix(string(data), "\nFIRST=\"0\"\nA=\"1\"\nQUOTED=\"a \\\"b\\\"\nc \"\nFROM_HERE=\"h e r e\"\n") {
		t.Errorf("got status %d, stderr %s, error %v, data %s", code, w.err.String(), err, data)
	}
	if info, err := os.Stat(dir + "/x.env"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got output %v, error %v", info, err)
	}
	if strings.Contains(w.err.String(), "secret") {
		t.Errorf("got stderr %s, want no warning", w.err.String())
	}
	code = w.do("generate", "x", "--no-listen", "--env", "DB_PASSWORD=hunter2", "--env", "U=redis://:hunter2@h", "--", "/bin/true")
	for _, want := range []string{"DB_PASSWORD looks like a secret", "secret set x DB_PASSWORD",
		"--env -", "U looks like a secret", "are masked with stars; --output DIR"} {
		if code != exitDone || !strings.Contains(w.err.String(), want) {
			t.Errorf("got status %d, but no %q in %s", code, want, w.err.String())
		}
	}
	if strings.Contains(w.out.String()+w.err.String(), "hunter2") {
		t.Errorf("got stdout %s, stderr %s, want no secret", w.out.String(), w.err.String())
	}
	for input, want := range map[string]string{"A\n": `--env -: line 1 has no "="`,
		"A=hunter2\nexport B=hunter2\n": "--env -: line 2 has no variable name"} {
		w.stdin = strings.NewReader(input)
		if code := w.do("generate", "x", "--no-listen", "--env", "-", "--", "/bin/true"); code != exitUsage ||
			!strings.Contains(w.err.String(), want) || strings.Contains(w.err.String(), "hunter2") {
			t.Errorf("got status %d, stderr %s", code, w.err.String())
		}
	}
}

// TestReadSecret checks that only the newline after a single line is removed.
func TestReadSecret(t *testing.T) {
	w := newWorld(t)
	for input, want := range map[string]string{
		"hunter2\n": "hunter2", "hunter2": "hunter2", "hunter2\r\n": "hunter2", " a b \n": " a b ", "a\nb\n": "a\nb\n",
		"\xff\n": "\xff\n", "\n\n": "\n\n",
	} {
		w.stdin = strings.NewReader(input)
		if got, err := w.readSecret("X"); err != nil || string(got) != want {
			t.Errorf("%q: got %q, error %v", input, got, err)
		}
	}
	for _, input := range []string{"", "\n", strings.Repeat("x", maxSecret+1)} {
		w.stdin = strings.NewReader(input)
		if _, err := w.readSecret("X"); err == nil || strings.Contains(err.Error(), "xxx") {
			t.Errorf("%.10q: got error %v", input, err)
		}
	}
	w.stdinTTY = true
	w.password = func() ([]byte, error) { return []byte("typed "), nil }
	if got, err := w.readSecret("X"); err != nil || string(got) != "typed " ||
		!strings.Contains(w.err.String(), "value of X (not shown): ") {
		t.Errorf("got %q, error %v, stderr %s", got, err, w.err.String())
	}
}
