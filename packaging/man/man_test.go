// Package man tests the manual pages. Tests that need the command tree are in cmd/clusterctl.
package man

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// The function directives returns the directives in the templates, in the form "Name=".
func directives(t *testing.T) []string {
	t.Helper()
	templates, err := filepath.Glob("../../templates/*.tmpl")
	if err != nil || len(templates) < 5 {
		t.Fatalf("got %q, error %v", templates, err)
	}
	var all []string
	for _, path := range templates {
		text := regexp.MustCompile(`\{\{[^}]*\}\}`).ReplaceAllString(read(t, path), "")
		for _, m := range regexp.MustCompile(`(?m)^([A-Z][A-Za-z0-9-]*=)`).FindAllString(text, -1) {
			if !slices.Contains(all, m) {
				all = append(all, m)
			}
		}
	}
	if len(all) < 60 {
		t.Fatalf("got only the directives %q", all)
	}
	return all
}

// TestUnitsPage checks that clusterctl-units.7 has an entry with a reason for each directive in the
// templates, and no other entries.
func TestUnitsPage(t *testing.T) {
	lines := strings.Split(strings.ReplaceAll(read(t, "clusterctl-units.7"), `\-`, "-"), "\n")
	explained := map[string]bool{}
	for i, line := range lines {
		if i == 0 || lines[i-1] != ".TP" {
			continue
		}
		for _, name := range regexp.MustCompile(`[A-Z][A-Za-z0-9-]*=`).FindAllString(line, -1) {
			if explained[name] {
				t.Errorf("%s has two entries", name)
			}
			explained[name] = true
		}
		reason := ""
		for _, l := range lines[i+1:] {
			if l == ".TP" || strings.HasPrefix(l, ".S") || l == ".PP" {
				break
			}
			reason += l
		}
		if len(reason) < 20 {
			t.Errorf("%q has no reason", line)
		}
	}
	all := directives(t)
	for _, name := range all {
		if !explained[name] {
			t.Errorf("a template sets %s, but the page does not explain it", name)
		}
	}
	for name := range explained {
		if !slices.Contains(all, name) {
			t.Errorf("the page explains %s, but no template sets it", name)
		}
	}
}

// TestShown checks that man formats each page without warnings and without lines of more than 80 columns.
func TestShown(t *testing.T) {
	pages, err := filepath.Glob("*.[1-8]")
	if err != nil || len(pages) < 3 {
		t.Fatalf("got %q, error %v", pages, err)
	}
	for _, page := range pages {
		cmd := exec.Command("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page)
		cmd.Env = append(os.Environ(), "MANWIDTH=80", "LC_ALL=C.UTF-8", "MANROFFSEQ=")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if _, err := cmd.Output(); err != nil || stderr.Len() > 0 {
			t.Errorf("%s: man ended with error %v and printed:\n%s", page, err, stderr.String())
		}
		cmd = exec.Command("man", "-l", "-P", "cat", page)
		cmd.Env = append(os.Environ(), "MANWIDTH=80", "LC_ALL=C.UTF-8", "MAN_KEEP_FORMATTING=")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: man ended with error %v", page, err)
		}
		shown := regexp.MustCompile(`\x1b\[[0-9;]*m|.\x08`).ReplaceAllString(string(out), "")
		if strings.Count(shown, "\n") < 40 || !strings.Contains(shown, "NAME") {
			t.Errorf("%s: unexpected output of man\n%s", page, shown)
		}
		for line := range strings.Lines(shown) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > 80 {
				t.Errorf("%s: a line has %d columns: %s", page, n, line)
			}
		}
	}
}

// TestSections checks that each page has the required sections, and that each command has an example.
func TestSections(t *testing.T) {
	for page, sections := range map[string][]string{
		"clusterctl.1":       {"NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "EXIT STATUS", "EXAMPLES", "SEE ALSO"},
		"clusterctl.yaml.5":  {"NAME", "SYNOPSIS", "DESCRIPTION", "KEYS", "EXAMPLES", "SEE ALSO"},
		"clusterctl-units.7": {"NAME", "DESCRIPTION", "EXAMPLES", "SEE ALSO"},
	} {
		text := read(t, page)
		for _, s := range sections {
			if !strings.Contains(text, "\n.SH "+s+"\n") {
				t.Errorf("%s does not have the section %s", page, s)
			}
		}
	}
	// Each command must have an example.
	_, commands, _ := strings.Cut(read(t, "clusterctl.1"), "\n.SH COMMANDS\n")
	commands, _, _ = strings.Cut(commands, "\n.SH ")
	for _, part := range strings.Split(commands, "\n.SS ") {
		name, _, _ := strings.Cut(strings.Trim(part, "\"\n.S "), " ")
		if name != "" && !strings.Contains(part, "Example") {
			t.Errorf("the command %s has no example", name)
		}
	}
}
