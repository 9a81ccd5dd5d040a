package apppkg

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/clusterctl/clusterctl/units"
)

// DebName returns the name of the package of an app (Debian Policy 5.6.1).
func DebName(n units.Name) string {
	s := strings.NewReplacer("_", "-").Replace(strings.ToLower(string(n)))
	if len(s) < 2 {
		s += "-app"
	}
	return s
}

var (
	versionForm = regexp.MustCompile(`^[0-9][A-Za-z0-9.+~]*(-[A-Za-z0-9.+~]+)?$`)
	archForm    = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)
	personForm  = regexp.MustCompile(`^[^<>\n]+ <[^<>@\s]+@[^<>@\s]+>$`)
	depForm     = regexp.MustCompile(`^[a-z0-9][a-z0-9.+-]+( \((<<|<=|=|>=|>>) [^()\s]+\))?( \| [a-z0-9][a-z0-9.+-]+)*$`)
	accountForm = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,30}$`)
)

// DebVersion converts a version of npm or git to a version of dpkg. "1.2.3-beta.1" becomes "1.2.3~beta.1", which dpkg
// orders before 1.2.3.
func DebVersion(s string) string {
	s = strings.TrimPrefix(strings.TrimSpace(s), "v")
	base, pre, found := strings.Cut(s, "-")
	if found {
		s = base + "~" + strings.ReplaceAll(pre, "-", ".")
	}
	return s
}

// CheckVersion returns an error for an invalid version of a package.
func CheckVersion(s string) error { return checkForm(s, versionForm, "1.2.3, 1.2.3-1") }

// CheckArch returns an error for an invalid architecture.
func CheckArch(s string) error { return checkForm(s, archForm, "amd64, arm64, all") }

// CheckMaintainer returns an error for an invalid maintainer.
func CheckMaintainer(s string) error { return checkForm(s, personForm, "Jane Doe <jane@example.com>") }

// CheckDepends returns an error for an invalid dependency.
func CheckDepends(s string) error { return checkForm(s, depForm, "nodejs, nodejs (>= 18)") }

func checkForm(s string, form *regexp.Regexp, examples string) error {
	if form.MatchString(s) {
		return nil
	}
	return fmt.Errorf("invalid value %q; examples: %s", s, examples)
}

func (in Input) check() error {
	for _, c := range []struct {
		what string
		err  error
	}{{"version", CheckVersion(in.Version)}, {"architecture", CheckArch(in.Arch)}, {"maintainer", CheckMaintainer(in.Maintainer)}} {
		if c.err != nil {
			return fmt.Errorf("the %s: %w", c.what, c.err)
		}
	}
	for _, d := range in.Depends {
		if err := CheckDepends(d); err != nil {
			return fmt.Errorf("the dependency: %w", err)
		}
	}
	if len(in.App.SecretEnv) > 0 {
		return fmt.Errorf("secret-env: a package cannot contain the secret %s: read it from an env-file on the target",
			in.App.SecretEnv[0])
	}
	for _, e := range in.App.Env {
		if e.Hidden {
			return fmt.Errorf("env: only root can read the value of %s: make the package as root, or from a file", e.Name)
		}
	}
	for _, name := range []string{in.App.RunAs.User, in.App.RunAs.Group} {
		if name != "" && !accountForm.MatchString(name) {
			return fmt.Errorf("run-as: the package cannot create %q on the target: use %s", name, userName(in.App.Name))
		}
	}
	return nil
}

// dependencies returns the dependencies of the package: systemd, clusterctl if the shim starts the program, and
// in.Depends.
func (in Input) dependencies() []string {
	all := []string{fmt.Sprintf("systemd (>= %d~)", in.Target.Systemd)}
	if in.App.NeedsShim() {
		all = append(all, "clusterctl")
	}
	for _, d := range in.Depends {
		if !slices.Contains(all, d) {
			all = append(all, d)
		}
	}
	return all
}

// The method control returns the control file (Debian Policy 5.3). The parameter kilobytes is the installed size in
// KiB.
func (in Input) control(kilobytes int64) string {
	var b strings.Builder
	field := func(name, v string) {
		if v != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, v)
		}
	}
	field("Package", DebName(in.App.Name))
	field("Version", in.Version)
	field("Architecture", in.Arch)
	field("Maintainer", in.Maintainer)
	field("Installed-Size", fmt.Sprint(kilobytes))
	field("Depends", strings.Join(in.dependencies(), ", "))
	if !in.App.NeedsShim() {
		field("Suggests", "clusterctl")
	}
	field("Section", "misc")
	field("Priority", "optional")
	field("Description", in.synopsis())
	fmt.Fprintf(&b, " The app %s, run as workers that systemd supervises. Its files are in\n %s, its units in %s.\n",
		in.App.Name, home(in.App.Name), in.unitDir())
	return b.String()
}

// synopsis returns the description on one line of at most 80 characters, without control characters.
func (in Input) synopsis() string {
	s := strings.Join(strings.FieldsFunc(in.Description, func(r rune) bool { return isControl(r) || unicode.IsSpace(r) }), " ")
	if s == "" {
		return string(in.App.Name) + ", run by systemd"
	}
	if r := []rune(s); len(r) > 80 {
		s = string(r[:79]) + "…"
	}
	return s
}

// mergedUsr is the version of systemd in Debian 12, the first release in which /lib is always a link to /usr/lib. In
// older releases, systemd reads the units of packages from /lib.
//
// FIXME(systemd 247): drop when Debian 11 is no longer supported.
const mergedUsr = 252

func (in Input) unitDir() string {
	if in.Target.Systemd < mergedUsr {
		return "/lib/systemd/system"
	}
	return "/usr/lib/systemd/system"
}
