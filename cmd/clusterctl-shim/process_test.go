package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestSecretEnv: a credential becomes a variable with exactly its bytes, and replaces a variable of the same name. An error
// does not contain the value.
func TestSecretEnv(t *testing.T) {
	dir := t.TempDir()
	for name, value := range map[string]string{"A": "a b\n\"$x\" ", "EMPTY": "", "BAD": "hunter2\x00"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	credentials := "CREDENTIALS_DIRECTORY=" + dir
	got, err := environment([]string{"A=old", credentials}, &runOptions{secretEnv: []string{"A", "EMPTY"}})
	if want := []string{"A=a b\n\"$x\" ", credentials, "EMPTY="}; err != nil || !slices.Equal(got, want) {
		t.Errorf("environment returned %q, %v, want %q", got, err, want)
	}
	for name, env := range map[string][]string{"NONE": {credentials}, "A": nil, "../A": {credentials}, "": {credentials},
		"BAD": {credentials}} {
		if _, err := environment(env, &runOptions{secretEnv: []string{name}}); err == nil ||
			!strings.Contains(err.Error(), "--secret-env "+name+":") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("credential %q: environment returned the error %v, want an error that names the flag and not the value", name, err)
		}
	}
}
