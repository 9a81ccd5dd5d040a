package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestLookup(t *testing.T) {
	file := filepath.Join(t.TempDir(), "passwd")
	if err := os.WriteFile(file, []byte("root:x:0:0:root:/root:/bin/sh\n\n+\nweb:x:990:33::/:/bin/sh\nodd:x:y:z::/:\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]int{"web": {990, 33}, "990": {990, 33}, "33": {33, -1}} {
		if ids, err := lookup(file, name, 2, 3); err != nil || !slices.Equal(ids, want) {
			t.Errorf("lookup(%q) = %v, %v, want %v", name, ids, err, want)
		}
	}
	for _, name := range []string{"we", "odd", "+", ""} {
		if ids, err := lookup(file, name, 2, 3); err == nil {
			t.Errorf("lookup(%q) = %v, want an error", name, ids)
		}
	}
}
