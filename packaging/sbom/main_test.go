package main

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBillOfMaterials compares the bill with what "go version -m" says is in the program, and finds a licence for all.
func TestBillOfMaterials(t *testing.T) {
	program := filepath.Join(t.TempDir(), "clusterctl")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", program, "../../cmd/clusterctl").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	modules, err := exec.Command("go", "list", "-m", "-json", "all").Output()
	if err != nil {
		t.Fatal(err)
	}
	var first, second bytes.Buffer
	for _, out := range []*bytes.Buffer{&first, &second} {
		if err := run("1.2.3", 1795458313, []string{program}, bytes.NewReader(modules), out); err != nil {
			t.Fatal(err)
		}
	}
	if first.String() != second.String() {
		t.Error("the same program has two bills")
	}
	var b bom
	if err := json.Unmarshal(first.Bytes(), &b); err != nil {
		t.Fatal(err)
	}
	if b.Format != "CycloneDX" || b.Metadata.Timestamp != "2026-11-23T18:25:13Z" {
		t.Errorf("%s %s", b.Format, b.Metadata.Timestamp)
	}
	listed := map[string]bool{}
	for _, c := range b.Components {
		listed[c.Name+"@"+c.Version] = true
		if len(c.Licences) == 0 {
			t.Errorf("%s has no licence", c.Name)
		}
	}
	out, err := exec.Command("go", "version", "-m", program).Output()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) >= 3 && f[0] == "dep" {
			n++
			if !listed[f[1]+"@"+f[2]] {
				t.Errorf("%s %s is in the program, and not in the bill", f[1], f[2])
			}
		}
	}
	if n < 3 || len(b.Components) != n+2 { // Go, and the program itself
		t.Errorf("%d components for %d modules", len(b.Components), n)
	}
}

func TestUnknownLicence(t *testing.T) {
	if ids, err := licences(t.TempDir()); err == nil {
		t.Errorf("no file is the licence %q", ids)
	}
}
