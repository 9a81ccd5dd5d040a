package archtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// constantWait matches code that waits with a constant time limit. On a busy machine, such a limit is too short.
var constantWait = regexp.MustCompile(`\bcontext\.With(Timeout|Deadline)|Deadline\(time\.Now\(\)\.Add\((bound|[0-9 ` +
	`*]*time\.)|case <-time\.After\(`)

// constantWaits lists test files that may contain such code, each with the reason.
var constantWaits = map[string]string{
	"activation/shim/drain/edge_test.go": "the test checks that no data arrives within this time",
	"cmd/clusterctl/roll_test.go":        "the test checks that an event does not happen within this time",
	"internal/lab/lab_test.go":           "tests that a command is killed when its context ends",
	"internal/lab/vm/vm_test.go":         "uses the limit of go test -timeout",
	"units/control/track_test.go":        "uses a fake clock",
}

// TestPatience checks that tests use package patience for time limits. The package adapts time limits to the load of the
// machine.
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
			t.Errorf("%s no longer needs its exception", path)
		}
	}
}
