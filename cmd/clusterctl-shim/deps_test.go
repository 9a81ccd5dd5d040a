package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestDependencies: the shim starts with every worker, so it only uses x/sys, its own packages, and the standard library
// without large packages.
func TestDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.FieldsSeq(string(out)) {
		first, _, _ := strings.Cut(dep, "/")
		ours := strings.HasPrefix(dep, "github.com/clusterctl/clusterctl/activation/") || strings.HasSuffix(dep, "/cmd/clusterctl-shim")
		if strings.Contains(first, ".") && !ours && !strings.HasPrefix(dep, "golang.org/x/sys/") {
			t.Errorf("dependency %s is not x/sys", dep)
		}
		switch dep {
		case "net", "net/http", "crypto/tls", "encoding/json", "os/exec", "text/template", "regexp", "runtime/cgo":
			t.Errorf("dependency %s is too large for the shim", dep)
		}
	}
	st, err := os.Stat(shim)
	if err != nil {
		t.Fatal(err)
	}
	if st.Size() >= 4<<20 {
		t.Errorf("the shim has %d bytes", st.Size())
	}
}
