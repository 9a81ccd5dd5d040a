package main

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/install"
)

// The commands cat, diff, generate and --dry-run print files. Values that look secret become stars, wherever the output goes.

// maskedChange returns both versions of a file as a diff shows them.
func maskedChange(c install.Change) (before, after []byte) {
	if c.Kind() == units.KindValues {
		return maskedValues(c.Old, nil), maskedValues(c.New, c.Old)
	}
	return maskedLines(c.Old), maskedLines(c.New)
}

// maskedFile returns a file as it is printed.
func maskedFile(path string, data []byte) []byte {
	if units.KindOf(path) == units.KindValues {
		return maskedValues(data, nil)
	}
	return maskedLines(data)
}

// changedStars replace a value that looks secret and differs from the value before.
const changedStars = stars + " (changed)"

// maskedValues returns a values file in which values that look secret are stars. A star says when the value has changed.
func maskedValues(data, before []byte) []byte {
	vars, _ := units.ParseValues(data)
	old, _ := units.ParseValues(before)
	secret := false
	for i, v := range vars {
		shown := variable(v.Name+"="+v.Value, false)
		if !shown.Masked {
			continue
		}
		secret, vars[i].Value = true, shown.Value
		was := slices.IndexFunc(old, func(o units.EnvVar) bool { return o.Name == v.Name })
		if was >= 0 && old[was].Value != v.Value {
			vars[i].Value = strings.Replace(shown.Value, stars, changedStars, 1)
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

// assignedLine matches a variable in a unit, or in a source that an older clusterctl has written with values.
var assignedLine = regexp.MustCompile(`^(Environment="([A-Za-z_][A-Za-z0-9_]*)=)(.*)"$|^(  "?([A-Za-z_][A-Za-z0-9_]*)"?: )(.*)$`)

// maskedLines returns a unit or a source in which values that look secret are stars.
func maskedLines(data []byte) []byte {
	if data == nil {
		return nil
	}
	var b bytes.Buffer
	for line := range strings.Lines(string(data)) {
		text := strings.TrimSuffix(line, "\n")
		end := line[len(text):]
		m := assignedLine.FindStringSubmatch(text)
		switch {
		case m == nil:
			b.WriteString(line)
		case m[1] != "":
			b.WriteString(m[1] + variable(m[2]+"="+m[3], false).Value + `"` + end)
		case m[6] == "null":
			b.WriteString(line)
		default:
			b.WriteString(m[4] + variable(m[5]+"="+m[6], false).Value + end)
		}
	}
	return b.Bytes()
}

// withoutValues returns a command line without the values of --env. Locks and revisions keep it, and others see it.
func withoutValues(args []string) []string {
	out := slices.Clone(args)
	hide := func(s string) string {
		if name, _, ok := strings.Cut(s, "="); ok {
			return name + "=" + stars
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
