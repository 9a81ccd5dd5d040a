package units

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/activation/shim/envfile"
)

// ValuesFile returns the name of the file with the values of the app's variables. The file is next to the source of the app.
// Only root may read this file. Everybody may read the units and the source.
func (n Name) ValuesFile() string { return string(n) + ".env" }

// The method values returns the values file, in the syntax of EnvironmentFile= (systemd.exec(5)).
func (r *renderer) values() File {
	f := File{Path: r.app.Name.ValuesFile()}
	if slices.ContainsFunc(r.app.Env, func(e EnvVar) bool { return e.Hidden }) {
		f.Kept = true
		return f
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s%s: the variables of %s. PID 1 reads this file at each start.\n", dropInMark, r.header("").Source, r.app.Name)
	for _, e := range r.app.Env {
		b.WriteString(e.Name + "=" + quoteValue(e.Value) + "\n")
	}
	f.Data = b.Bytes()
	return f
}

// RenderValues returns the contents of the values file. The values of all variables must be known.
func RenderValues(a App) []byte {
	r := renderer{app: a}
	return r.values().Data
}

// quoteValue quotes a value for an environment file. Between double quotes, only four characters are special: backslash,
// double quote, backquote and dollar sign (systemd, basic/env-file.c).
func quoteValue(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`", `$`, `\$`).Replace(s) + `"`
}

// ParseValues parses an environment file as systemd does. If a variable is assigned twice, the last value counts.
// ParseValues returns an error for lines that systemd would ignore, and for a file that systemd would refuse. The error
// contains no value.
func ParseValues(data []byte) ([]EnvVar, error) {
	assignments, faults := envfile.Parse(string(data), envfile.Syntax{})
	var vars []EnvVar
	for _, v := range assignments {
		name, value, _ := strings.Cut(v, "=")
		vars = append(vars, EnvVar{Name: name, Value: value})
	}
	var errs []error
	for _, f := range faults {
		errs = append(errs, f)
	}
	return vars, errors.Join(errs...)
}

// FillValues sets the values of the app's hidden variables from its values file. Variables that are only in the file are
// appended, because the worker gets all variables in the file. Variables that are missing in the file stay hidden.
func (a *App) FillValues(data []byte) {
	// The error is about lines that systemd ignores.
	vars, _ := ParseValues(data)
	for _, v := range vars {
		i := slices.IndexFunc(a.Env, func(e EnvVar) bool { return e.Name == v.Name })
		switch {
		case i < 0:
			a.Env = append(a.Env, v)
		case a.Env[i].Hidden:
			a.Env[i] = v
		}
	}
}
