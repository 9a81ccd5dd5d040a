package archtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

const maxColumns = 140

// allowedWidths lists files and directories ("units/") that may have longer lines, each with the reason. An entry for a
// directory does not apply to the tests in it.
var allowedWidths = map[string]string{}

// TestColumns checks that no line of a Go file, including tests, has more than 140 columns. A tab counts as four columns.
func TestColumns(t *testing.T) {
	used := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		data, err := os.ReadFile(path)
		for i, line := range strings.Split(string(data), "\n") {
			columns := utf8.RuneCountInString(line) + 3*strings.Count(line, "\t")
			if columns <= maxColumns {
				continue
			}
			if key := exceptionFor(rel); key != "" {
				used[key] = true
			} else {
				t.Errorf("%s:%d has %d columns, want at most %d", rel, i+1, columns, maxColumns)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for key := range allowedWidths {
		if !used[key] {
			t.Errorf("%s no longer needs its exception", key)
		}
	}
}

// exceptionFor returns the key in wide that applies to a file, or "".
func exceptionFor(path string) string {
	for key := range allowedWidths {
		if path == key || strings.HasSuffix(key, "/") && strings.HasPrefix(path, key) && !strings.HasSuffix(path, "_test.go") {
			return key
		}
	}
	return ""
}
