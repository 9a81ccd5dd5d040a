package archtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// constantWait is a wait in a test with a constant for its end. It is too short on a busy machine.
var constantWait = regexp.MustCompile(`\bcontext\.With(Timeout|Deadline)|Deadline\(time\.Now\(\)\.Add\((bound|[0-9 ` +
	`*]*time\.)|case <-time\.After\(`)

// constantWaits are the tests for which the time itself is what they test.
var constantWaits = map[string]string{
	"activation/shim/drain/edge_test.go": "nothing must arrive within this time",
	"cmd/clusterctl/roll_test.go":        "it must not happen, so there is nothing to wait for",
	"internal/lab/lab_test.go":           "a command that is killed at the end of its context",
	"internal/lab/vm/vm_test.go":         "the end that go test -timeout sets",
	"units/control/track_test.go":        "the clock of the test is not real",
}

// TestPatience: a test bounds a wait by package patience, which knows how busy the machine is.
func TestPatience(t *testing.T) {
	used := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, path)
		rel = filepath.ToSlash(rel)
		if err != nil || !strings.HasSuffix(path, "_test.go") || strings.HasPrefix(rel, "internal/archtest/") {
			return err
		}
		data, err := os.ReadFile(path)
		for i, line := range strings.Split(string(data), "\n") {
			if !constantWait.MatchString(line) {
				continue
			}
			used[rel] = true
			if constantWaits[rel] == "" {
				t.Errorf("%s:%d: use patience.WithTimeout, patience.For or patience.After: %s", rel, i+1, strings.TrimSpace(line))
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for path := range constantWaits {
		if !used[path] {
			t.Errorf("%s does not need its exception", path)
		}
	}
}
