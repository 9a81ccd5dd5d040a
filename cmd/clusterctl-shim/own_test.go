package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestLookup(t *testing.T) {
	file := filepath.Join(t.TempDir(), "passwd")
	if err := os.WriteFile(file, []byte("root:x:0:0:root:/root:/bin/sh\n\n+\nweb:x:990:33::/:/bin/sh\nodd:x:y:z::/:\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if ids, err := lookup(file, "web", 2, 3); err != nil || !slices.Equal(ids, []int{990, 33}) {
		t.Errorf("%v, %v", ids, err)
	}
	for _, name := range []string{"we", "odd", "+", ""} {
		if ids, err := lookup(file, name, 2, 3); err == nil {
			t.Errorf("%q: %v", name, ids)
		}
	}
}
