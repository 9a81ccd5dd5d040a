package templates_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"
	"text/template/parse"

	"github.com/clusterctl/clusterctl/templates"
)

// The function texts returns all templates by name, and fails the test if FS contains no template.
func texts(t *testing.T) map[string]string {
	t.Helper()
	names, err := fs.Glob(templates.FS, "*")
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Fatal("templates.FS has no template")
	}
	all := map[string]string{}
	for _, n := range names {
		data, err := fs.ReadFile(templates.FS, n)
		if err != nil {
			t.Fatal(err)
		}
		all[n] = string(data)
	}
	return all
}

// TestLanguage checks that templates use only {{.Field}}, {{range}} and {{with}}. Functions, pipelines, variables and
// nesting are forbidden: decisions and escaping belong to package units, so that a template looks like the unit.
func TestLanguage(t *testing.T) {
	for name, text := range texts(t) {
		tmpl, err := template.New(name).Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if len(tmpl.Templates()) != 1 {
			t.Errorf("%s defines other templates", name)
		}
		checkList(t, name, tmpl.Root, false)
	}
}

func checkList(t *testing.T, name string, list *parse.ListNode, inside bool) {
	t.Helper()
	for _, n := range list.Nodes {
		switch n := n.(type) {
		case *parse.TextNode:
		case *parse.ActionNode:
			checkPipe(t, name, n.Pipe, inside)
		case *parse.RangeNode:
			checkBranch(t, name, &n.BranchNode, inside)
		case *parse.WithNode:
			checkBranch(t, name, &n.BranchNode, inside)
		default:
			t.Errorf("%s: %s is neither a field nor range nor with", name, n)
		}
	}
}

func checkBranch(t *testing.T, name string, b *parse.BranchNode, inside bool) {
	t.Helper()
	if inside {
		t.Errorf("%s: %s is nested", name, b)
	}
	if b.ElseList != nil {
		t.Errorf("%s: %s has an else", name, b)
	}
	checkPipe(t, name, b.Pipe, false)
	checkList(t, name, b.List, true)
}

// checkPipe checks that a pipe is one field of the view, or the dot inside of {{range}} and {{with}}.
func checkPipe(t *testing.T, name string, p *parse.PipeNode, inside bool) {
	t.Helper()
	if len(p.Decl) > 0 || len(p.Cmds) != 1 || len(p.Cmds[0].Args) != 1 {
		t.Errorf("%s: {{%s}} is not one field", name, p)
		return
	}
	switch arg := p.Cmds[0].Args[0].(type) {
	case *parse.FieldNode:
		if len(arg.Ident) != 1 {
			t.Errorf("%s: {{%s}} is a field of a field", name, p)
		}
	case *parse.DotNode:
		if !inside {
			t.Errorf("%s: {{%s}} is the whole view", name, p)
		}
	default:
		t.Errorf("%s: {{%s}} is not a field", name, p)
	}
}

// selfEvident contains the directives that need no comment. Each other directive needs a comment above it.
var selfEvident = []string{
	"Description", "SourcePath", "X-Clusterctl-App", "WantedBy", "Service", "Slice", "SyslogIdentifier", "LogExtraFields",
	"ListenStream", "ListenDatagram", "Type", "NotifyAccess", "Sockets", "WorkingDirectory", "User", "Group", "Environment",
	"EnvironmentFile", "Restart", "Backlog", "TimeoutStartSec", "ExecStart", "RemainAfterExit",
}

// TestReasons checks that each directive has a comment. A comment applies to the lines directly below it, up to a
// self-evident directive or an empty line.
func TestReasons(t *testing.T) {
	for name, text := range texts(t) {
		if !strings.Contains(text, "\n# ") && !strings.HasPrefix(text, "# ") {
			t.Errorf("%s has no comment", name)
		}
		explained := false
		for line := range strings.Lines(text) {
			line = stripActions(line)
			key, _, assignment := strings.Cut(line, "=")
			switch {
			case strings.HasPrefix(line, "#"):
				explained = true
			case line == "" || line[0] == '[':
				explained = false
			case !assignment:
				t.Errorf("%s: %q is neither a comment, a section nor an assignment", name, line)
			case slices.Contains(selfEvident, key):
				explained = false
			case !explained:
				t.Errorf("%s: %s= has no comment above it", name, key)
			}
		}
	}
}

// stripActions removes all {{…}} at the start of a line, so that the result is a line of the unit.
func stripActions(line string) string {
	line = strings.TrimSpace(line)
	for strings.HasPrefix(line, "{{") {
		_, after, ok := strings.Cut(line, "}}")
		if !ok {
			return line
		}
		line = strings.TrimSpace(after)
	}
	return line
}

// TestText checks that templates follow the rules for units: no continuation, no trailing blank, no comment longer than 140
// bytes, and one newline at the end.
func TestText(t *testing.T) {
	for name, text := range texts(t) {
		if !strings.HasSuffix(text, "\n") && !strings.HasSuffix(text, "\n{{end}}") {
			t.Errorf("%s does not end in a newline", name)
		}
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			if strings.TrimRight(line, " \t\\") != line {
				t.Errorf("%s: %q ends in a blank or a backslash", name, line)
			}
			if strings.HasPrefix(line, "#") && len(line) > 140 {
				t.Errorf("%s: a comment of %d bytes: %.60s…", name, len(line), line)
			}
		}
	}
}

// TestUsed checks that package units renders each template.
func TestUsed(t *testing.T) {
	paths, err := filepath.Glob("../units/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, p := range paths {
		if strings.HasSuffix(p, "_test.go") {
			continue
		}
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(data)
	}
	for name := range texts(t) {
		if !strings.Contains(code.String(), `"`+name+`"`) {
			t.Errorf("%s is not used in package units", name)
		}
	}
}

// TestExports checks that the package exports only FS.
func TestExports(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "templates.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			names = append(names, d.Name.Name)
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.ValueSpec:
					for _, n := range s.Names {
						names = append(names, n.Name)
					}
				case *ast.TypeSpec:
					names = append(names, s.Name.Name)
				}
			}
		}
	}
	if !slices.Equal(names, []string{"FS"}) {
		t.Errorf("package templates declares %q, want only FS", names)
	}
}
