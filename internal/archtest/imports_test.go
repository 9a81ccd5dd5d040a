package archtest

import (
	"go/ast"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
)

// The function under reports whether a package matches one of the patterns. A pattern is the path of a package, or
// DIRECTORY/... for all packages in and below a directory.
func under(p string, patterns ...string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		dir, below := strings.CutSuffix(pattern, "/...")
		return p == dir || below && strings.HasPrefix(p, dir+"/")
	})
}

// allowedImports lists for each package which of our packages it may import. The first matching pattern applies. Add each
// new package here.
var allowedImports = []struct {
	of  string
	may []string
}{
	{"templates", nil},
	{"internal/text", nil},
	{"internal/fault", nil},
	{"internal/pm2", nil},
	{"internal/cmdline", []string{"internal/fault", "internal/pm2", "internal/text"}},
	{"units", []string{"templates", "activation/shim/contract", "activation/shim/envfile", "internal/text"}},
	{"units/config", []string{"units", "internal/text"}},
	{"units/install", []string{"units", "internal/text", "units/config", "activation/shim/contract"}},
	{"units/control/...", []string{"units", "units/control/...", "activation/shim/contract"}},
	{"journal/...", []string{"journal/...", "activation/shim/contract"}},
	{"activation", []string{"activation/internal/..."}},
	{"activation/internal/...", []string{"activation/internal/..."}},
	{"activation/journald", nil},
	{"activation/shim/contract", nil},
	{"activation/shim/...", []string{"activation/internal/...", "activation/shim/..."}},
	{"internal/trust", nil},
	{"internal/mask", []string{"units", "units/install"}},
	{"internal/foreground", nil},
	{"internal/origin", []string{"units"}},
	{"internal/guard", []string{"units", "units/config", "internal/fault", "internal/text", "internal/trust"}},
	{"internal/status", []string{"units", "units/config", "units/control", "units/install", "journal", "internal/fault",
		"internal/guard", "internal/inspect", "internal/mask", "internal/text", "activation/shim/contract"}},
	{"internal/manage", []string{
		"units", "units/config", "units/control", "units/install", "journal", "internal/fault", "internal/foreground",
		"internal/guard", "internal/inspect", "internal/status", "internal/text", "activation/shim/contract", "activation/shim/socketfile",
	}},
	{"internal/manage/managetest", []string{"units", "units/control"}},
	{"internal/resolve", []string{
		"units", "units/config", "units/control", "units/install",
		"internal/fault", "internal/foreground", "internal/guard", "internal/inspect", "internal/origin", "internal/text",
		"activation/shim/contract",
	}},
	{"cmd/clusterctl", []string{
		"units/...", "journal/...", "internal/cmdline", "internal/fault", "internal/foreground", "internal/guard", "internal/inspect",
		"internal/manage", "internal/mask", "internal/origin", "internal/pm2", "internal/resolve", "internal/status",
		"internal/text", "packaging/apppkg/...",
		"activation/shim/contract", "activation/shim/socketfile",
	}},
	{"cmd/clusterctl-shim", []string{"activation/shim/..."}},
	{"packaging/apppkg", []string{"units", "units/config", "activation/shim/contract", "internal/text"}},
	{"packaging/apppkg/deb", []string{"packaging/apppkg", "units", "internal/fault", "internal/mask", "internal/text"}}, // starts dpkg
	{"packaging/...", []string{"activation"}},
	{"internal/lab/vm/...", []string{"internal/lab/...", "activation/shim/target"}}, // uses the parser for /proc/PID/stat
	{"internal/lab/...", []string{"internal/lab/..."}},
	// Package inspect gets data about processes from the kernel and from the files of the shim. Package inspect must not use
	// units or systemd.
	{"internal/inspect", []string{"activation/shim/contract", "activation/shim/sockdiag", "activation/shim/backoff",
		"activation/shim/relisten", "activation/shim/drain/left"}},
	{"internal/...", []string{"activation/...", "units/...", "journal/...", "internal/...", "templates", "packaging/schema"}},
	{"bench/...", []string{"activation/...", "internal/...", "bench/..."}},
}

func TestAllowedImports(t *testing.T) {
	for _, p := range packages(t) {
		i := slices.IndexFunc(allowedImports, func(d struct {
			of  string
			may []string
		}) bool {
			return under(p.path(), d.of)
		})
		if i < 0 {
			t.Errorf("%s is missing in the table allowedImports", p.path())
			continue
		}
		for _, im := range p.Imports {
			if isOurs(im) && !under(inModule(im), allowedImports[i].may...) {
				t.Errorf("%s imports %s, but may import only %q", p.path(), inModule(im), allowedImports[i].may)
			}
		}
	}
}

// libraries lists for each library which packages may import it. TestLibraries does not check test files, so test files may
// import other libraries.
var libraries = map[string][]string{
	"github.com/coreos/go-systemd/v22": {"units/control/...", "internal/e2e/kit"},
	"github.com/godbus/dbus/v5":        {"units/control/...", "internal/lab", "internal/e2e/kit"}, // internal packages are for tests
	"github.com/urfave/cli/v2":         {"internal/cmdline"},
	"github.com/rogpeppe/go-internal":  {"cmd/clusterctl"}, // unified diffs
	"golang.org/x/term":                {"cmd/clusterctl"},
	"go.yaml.in/yaml/v4":               {"units/config"},
	// Only tests use package outputschema, which checks the output of --json.
	"github.com/santhosh-tekuri/jsonschema/v6": {"internal/outputschema"},
	"golang.org/x/sync":                        {"cmd/clusterctl", "units/control/..."},
	"golang.org/x/sys": {"activation/...", "cmd/clusterctl", "cmd/clusterctl-shim",
		"units/control/...", "units/install", "journal", "internal/...", "bench/..."},
}

func TestLibraries(t *testing.T) {
	for _, p := range packages(t) {
		for _, im := range p.Imports {
			if isOurs(im) || !strings.Contains(strings.SplitN(im, "/", 2)[0], ".") {
				continue
			}
			library := ""
			for l := range libraries {
				if under(im, l+"/...") {
					library = l
				}
			}
			if library == "" {
				t.Errorf("%s imports %s, which is not in the table libraries", p.path(), im)
			} else if !under(p.path(), libraries[library]...) {
				t.Errorf("%s imports %s, but only %q may import it", p.path(), im, libraries[library])
			}
		}
	}
}

// The list pure contains the standard packages that package units may import. These packages do not read files, the clock,
// the environment or the network.
var pure = []string{
	"bytes", "cmp", "crypto/sha256", "io", "encoding/hex", "encoding/json", "io/fs", "errors", "fmt", "hash/fnv", "iter",
	"maps", "math", "net/netip", "path", "reflect", "regexp", "slices",
	"strconv", "strings", "text/template", "time", "unicode", "unicode/utf8", "embed",
}

func TestPure(t *testing.T) {
	for _, p := range packages(t) {
		if !slices.Contains([]string{"units", "templates", "packaging/apppkg", "activation/shim/contract",
			"activation/shim/envfile", "internal/text"}, p.path()) {
			continue
		}
		for _, im := range p.Imports {
			if !isOurs(im) && !slices.Contains(pure, im) {
				t.Errorf("%s imports %s, which is not in the list pure", p.path(), im)
			}
		}
	}
	for _, s := range files(t) {
		if s.dir != "units" && s.dir != "activation/shim/contract" {
			continue
		}
		for _, c := range calls(s.file) {
			switch c.name {
			case "time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.AfterFunc", "time.Tick",
				"time.NewTimer", "time.NewTicker", "time.LoadLocation":
				t.Errorf("%s:%d: package %s must not use the clock, but calls %s", s.path, s.line(c.node), s.dir, c.name)
			}
		}
	}
}

// TestContract checks that only package contract contains the paths and prefixes that the shim and other packages share.
func TestContract(t *testing.T) {
	for _, s := range files(t) {
		if s.dir == "activation/shim/contract" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			l, ok := n.(*ast.BasicLit)
			if ok && (strings.Contains(l.Value, contract.RunDirectory) || strings.HasPrefix(l.Value, `"`+contract.LogPrefix)) {
				t.Errorf("%s:%d: %s must be a constant of activation/shim/contract", s.path, s.line(n), l.Value)
			}
			return true
		})
	}
}

// TestSmall checks the dependencies of package activation and of the shim. Package activation and the shim may use only
// x/sys and the standard library. They must not use packages that make a binary large or slow to start.
func TestSmall(t *testing.T) {
	for of, never := range map[string][]string{
		"activation":          {"os/exec", "activation/shim/..."},
		"activation/journald": {"net", "net/http", "crypto/tls", "os/exec"},
		"activation/shim/...": {"net/http", "crypto/tls", "os/exec", "units/..."},
		"cmd/clusterctl-shim": {"net/http", "crypto/tls", "os/exec", "units/...", "templates"},
	} {
		found := false
		for _, p := range packages(t) {
			if !under(p.path(), of) {
				continue
			}
			found = true
			for _, d := range p.Deps {
				library := strings.Contains(strings.SplitN(d, "/", 2)[0], ".") && !isOurs(d) && !under(d, "golang.org/x/sys/...")
				if library || isOurs(d) && !under(inModule(d), "activation/...") || under(inModule(d), never...) {
					t.Errorf("%s depends on %s", p.path(), inModule(d))
				}
			}
		}
		if !found {
			t.Errorf("no package matches %s", of)
		}
	}
}

func TestNames(t *testing.T) {
	for _, p := range packages(t) {
		for _, n := range []string{p.Name, path.Base(p.path())} {
			if slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "types", "misc", "base", "shared"}, n) {
				t.Errorf("%s: the name %q does not describe the package", p.path(), n)
			}
		}
		for _, im := range p.Imports {
			if under(inModule(im), "cmd/...") && isOurs(im) {
				t.Errorf("%s imports the command %s", p.path(), inModule(im))
			}
		}
	}
}

// The table starters lists the packages that may import os/exec, each with the reason.
var starters = map[string]string{
	"journal":               "starts journalctl, because reading the journal without it needs cgo",
	"cmd/clusterctl":        "env.go searches for interpreters, and runs systemd-creds for \"secret\"",
	"packaging/apppkg/deb":  "runs dpkg-deb and dpkg-query",
	"internal/lab":          "boots machines",
	"internal/lab/image":    "builds the images of machines",
	"internal/lab/vm":       "boots virtual machines",
	"internal/lab/vm/guest": "runs the checks in a virtual machine",
	"internal/demo":         "runs the commands that it shows",
	"bench/inside":          "runs the measured programs in the machine",
}

func TestProcesses(t *testing.T) {
	used := map[string]bool{}
	for _, p := range packages(t) {
		if slices.Contains(p.Imports, "os/exec") {
			used[p.path()] = true
			if starters[p.path()] == "" {
				t.Errorf("%s imports os/exec, but is not in the list starters", p.path())
			}
		}
	}
	for path := range starters {
		if !used[path] {
			t.Errorf("%s no longer needs its exception", path)
		}
	}
}
