package activation

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/clusterctl/clusterctl/"

// TestImports checks that the library, which other projects import, depends only on itself, the
// standard library and golang.org/x/sys. The shim also uses internal/sd, which must not import
// large packages.
func TestImports(t *testing.T) {
	for _, test := range []struct {
		pkg     string
		allowed []string // prefixes that are allowed besides the standard library
		refused []string // packages that are not even allowed as indirect imports
	}{
		{
			pkg:     module + "activation",
			allowed: []string{"golang.org/x/sys/", module + "activation"},
			refused: []string{"os/exec", "testing", "flag"},
		},
		{
			pkg:     module + "activation/journald",
			allowed: []string{"golang.org/x/sys/", module + "activation/journald"},
			refused: []string{"net", "net/http", "crypto/tls", "os/exec", "os/signal", "testing", "flag"},
		},
		{
			pkg:     module + "activation/internal/sd",
			allowed: []string{"golang.org/x/sys/", module + "activation/internal/sd"},
			refused: []string{"net", "net/http", "crypto/tls", "log", "os/exec", "os/signal"},
		},
	} {
		out, err := exec.Command("go", "list", "-deps", "-f", "{{.ImportPath}} {{.Standard}}", test.pkg).Output()
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(out)) {
			path, standard, _ := strings.Cut(strings.TrimSpace(line), " ")
			if slices.Contains(test.refused, path) {
				t.Errorf("%s imports %s", test.pkg, path)
			}
			if standard != "true" && !slices.ContainsFunc(test.allowed, func(p string) bool { return strings.HasPrefix(path, p) }) {
				t.Errorf("%s imports %s, which is not in the standard library", test.pkg, path)
			}
		}
	}
	// net/http imports log, so refused cannot contain log. Check the direct imports instead.
	out, err := exec.Command("go", "list", "-f", `{{join .Imports "\n"}}`, module+"activation").Output()
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(strings.Fields(string(out)), "log") {
		t.Error("the package imports log")
	}
}
