// Package mask replaces secret values with stars in printed variables, files and command lines.
package mask

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/install"
)

var secretName = regexp.MustCompile(`(?i)(^|_)(pass(word|wd|phrase)?|secrets?|tokens?|` +
	`(api|access|private|secret|signing|encryption|license)?_?keys?|credentials?|auth|cookie|salt|dsn)(_|$)|` +
	`_pwd(_|$)|password|passwd|secret|apikey`)

// looksSecret reports whether a variable with this name probably has a secret value. CREDENTIALS_DIRECTORY and SSH_AUTH_SOCK
// are exceptions, because their values are paths.
func looksSecret(name string) bool {
	return secretName.MatchString(name) && !strings.HasSuffix(name, "_DIRECTORY") && !strings.HasSuffix(name, "_SOCK")
}

// urlPassword matches the password in a URL, such as postgres://user:password@host/.
var urlPassword = regexp.MustCompile(`(://[^/?#@\s:]*:)([^/?#@\s]+)(@)`)

// Stars replaces a secret value.
const Stars = "********"

// Value returns the value of a variable with secrets masked. Stars replace the whole value if the name looks secret, and
// otherwise the password in a URL. The result masked is true if Value has replaced anything.
func Value(name, value string) (shown string, masked bool) {
	switch {
	case value == "":
	case looksSecret(name):
		return Stars, true
	case urlPassword.MatchString(value):
		return urlPassword.ReplaceAllString(value, "${1}"+Stars+"${3}"), true
	}
	return value, false
}

// Change returns the old and the new version of a file for a diff, with secret values masked.
func Change(c install.Change) (before, after []byte) {
	if c.Kind() == units.KindValues {
		return Values(c.Old, nil), Values(c.New, c.Old)
	}
	return lines(c.Old), lines(c.New)
}

// File returns a file with secret values masked.
func File(path string, data []byte) []byte {
	if units.KindOf(path) == units.KindValues {
		return Values(data, nil)
	}
	return lines(data)
}

// changedStars replaces a secret value that is not equal to the old value of the variable.
const changedStars = Stars + " (changed)"

// Values returns a values file with secret values masked. The parameter oldFile is the old version of the file, or nil. If a
// secret value differs from the old version, Values prints changedStars.
func Values(data, oldFile []byte) []byte {
	vars, _ := units.ParseValues(data)
	old, _ := units.ParseValues(oldFile)
	secret := false
	for i, v := range vars {
		shown, masked := Value(v.Name, v.Value)
		if !masked {
			continue
		}
		secret, vars[i].Value = true, shown
		was := slices.IndexFunc(old, func(o units.EnvVar) bool { return o.Name == v.Name })
		if was >= 0 && old[was].Value != v.Value {
			vars[i].Value = strings.Replace(shown, Stars, changedStars, 1)
		}
	}
	if !secret {
		return data
	}
	var b bytes.Buffer
	for line := range bytes.Lines(data) {
		if !bytes.HasPrefix(line, []byte("#")) {
			break
		}
		b.Write(line)
	}
	_, assignments, _ := bytes.Cut(units.RenderValues(units.App{Env: vars}), []byte("\n"))
	b.Write(assignments)
	return b.Bytes()
}

// assignedLine matches the line of a variable in a unit, or in the description of an app. Only older versions of clusterctl
// wrote values into units and descriptions.
var assignedLine = regexp.MustCompile(`^(Environment="([A-Za-z_][A-Za-z0-9_]*)=)(.*)"$|^(  "?([A-Za-z_][A-Za-z0-9_]*)"?: )(.*)$`)

// The function lines returns a unit or the description of an app with secret values masked.
func lines(data []byte) []byte {
	if data == nil {
		return nil
	}
	var b bytes.Buffer
	shown := func(name, value string) string {
		value, _ = Value(name, value)
		return value
	}
	for line := range strings.Lines(string(data)) {
		text := strings.TrimSuffix(line, "\n")
		end := line[len(text):]
		m := assignedLine.FindStringSubmatch(text)
		switch {
		case m == nil:
			b.WriteString(line)
		case m[1] != "":
			b.WriteString(m[1] + shown(m[2], m[3]) + `"` + end)
		case m[6] == "null":
			b.WriteString(line)
		default:
			b.WriteString(m[4] + shown(m[5], m[6]) + end)
		}
	}
	return b.Bytes()
}

// CommandLine returns a command line with stars instead of the values of --env, because other users can read the locks and
// revisions that contain command lines.
func CommandLine(args []string) []string {
	out := slices.Clone(args)
	hide := func(s string) string {
		if name, _, ok := strings.Cut(s, "="); ok {
			return name + "=" + Stars
		}
		return s
	}
	for i := 0; i < len(out) && out[i] != "--"; i++ {
		flag, value, joined := strings.Cut(out[i], "=")
		switch {
		case joined && (flag == "--env" || flag == "-env" || flag == "-e"):
			out[i] = flag + "=" + hide(value)
		case joined && strings.HasPrefix(flag, "-e") && !strings.HasPrefix(flag, "-env-"):
			out[i] = hide(out[i])
		case !joined && (flag == "--env" || flag == "-env" || flag == "-e") && i+1 < len(out):
			i++
			out[i] = hide(out[i])
		}
	}
	return out
}
