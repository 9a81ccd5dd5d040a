package archtest

import (
	"go/ast"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// machinePackages lists packages with functions that read or change the state of the machine.
var machinePackages = []string{"os", "os/exec", "os/signal", "os/user", "net", "debug/buildinfo", "debug/elf"}

// directAccess lists the files of cmd/clusterctl that may import these packages, each with the reason. All other files use
// the type env.
var directAccess = map[string]string{
	"env.go":          "accesses the machine for all commands, and receives signals",
	"main.go":         "receives signals and ends the process",
	"cmd_cat.go":      "prints the files of units and their drop-ins",
	"cmd_generate.go": "writes files to the directory that the user chooses",
}

// TestDirectAccess checks that only the files in directAccess import packages in machinePackages.
func TestDirectAccess(t *testing.T) {
	used := map[string]bool{}
	for _, s := range files(t) {
		if s.dir != "cmd/clusterctl" {
			continue
		}
		base := path.Base(s.path)
		for _, im := range s.file.Imports {
			name, err := strconv.Unquote(im.Path.Value)
			if err != nil || !slices.Contains(machinePackages, name) {
				continue
			}
			used[base] = true
			if directAccess[base] == "" {
				t.Errorf("%s imports %q; use a field of env", s.path, name)
			}
		}
		for _, c := range calls(s.file) {
			if base != "env.go" && (c.name == "time.Now" || c.name == "time.Since") {
				t.Errorf("%s:%d calls %s; use env.now", s.path, s.line(c.node), c.name)
			}
		}
	}
	for base := range directAccess {
		if !used[base] {
			t.Errorf("%s no longer needs its exception", base)
		}
	}
}

// TestSignatureOfCommands checks the file name and the parameters of each function runNAME: a context, env, the options of
// the command, and the input of the command line.
func TestSignatureOfCommands(t *testing.T) {
	found := 0
	for _, s := range files(t) {
		if s.dir != "cmd/clusterctl" {
			continue
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil {
				continue
			}
			name, ok := strings.CutPrefix(f.Name.Name, "run")
			if !ok || name == "" || !unicode.IsUpper(rune(name[0])) {
				continue
			}
			found++
			if want := "cmd_" + snake(name) + ".go"; path.Base(s.path) != want {
				t.Errorf("%s contains %s, which belongs in %s", s.path, f.Name.Name, want)
			}
			var types []string
			for _, p := range f.Type.Params.List {
				types = append(types, typeName(p.Type))
			}
			if len(types) != 4 || types[0] != "context.Context" || types[1] != "*env" || types[3] != "cmdline.Input" {
				t.Errorf("%s: %s has the parameters %q, want (context.Context, *env, its options, cmdline.Input)",
					s.path, f.Name.Name, types)
			}
		}
	}
	if found < 15 {
		t.Errorf("found %d commands, want at least 15", found)
	}
}

// The function snake returns a name in snake case: internal_roll for InternalRoll.
func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// typeName returns the source text of a type, for the types that parameters of commands have.
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.StarExpr:
		return "*" + typeName(e.X)
	case *ast.SelectorExpr:
		return typeName(e.X) + "." + e.Sel.Name
	}
	return ""
}
