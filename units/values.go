package units

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ValuesFile is the name of the file with the values of the app's variables. It is beside the source of the app and only
// root may read it, while units and the source can be read by everybody.
func (n Name) ValuesFile() string { return string(n) + ".env" }

// hidden returns whether the value of a variable is unknown. Rendering the values file is impossible then.
func (a App) hidden() bool {
	return slices.ContainsFunc(a.Env, func(e EnvVar) bool { return e.Hidden })
}

// values returns the values file, in the syntax of EnvironmentFile= (systemd.exec(5)). PID 1 reads it at each start.
func (r *renderer) values() File {
	f := File{Path: r.app.Name.ValuesFile()}
	if f.Kept = r.app.hidden(); f.Kept {
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

// RenderValues returns the contents of a values file for variables whose values are all known.
func RenderValues(a App) []byte {
	r := renderer{app: a}
	return r.values().Data
}

// quoteValue quotes a value for an environment file. Only four characters are special between double quotes, a newline is
// not one of them (systemd, basic/env-file.c).
func quoteValue(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`", `$`, `\$`).Replace(s) + `"`
}

// ParseValues reads an environment file as systemd does. Of a variable that is there twice the last value counts. Lines that
// systemd would ignore are errors; they never quote a value.
func ParseValues(data []byte) ([]EnvVar, error) {
	p := valuesParser{line: 1}
	for _, c := range data {
		p.next(c)
		if c == '\n' {
			p.line++
		}
	}
	p.end()
	return p.vars, errors.Join(p.errs...)
}

// valuesState is where the parser is: the states of parse_env_file_internal in systemd's basic/env-file.c.
type valuesState int

const (
	beforeName valuesState = iota
	inName
	beforeValue
	inValue
	escaped
	inSingle
	inDouble
	escapedInDouble
	inComment
	escapedInComment
)

type valuesParser struct {
	state       valuesState
	name, value []byte
	// blanks is the length of the value without the blanks at its end; -1 when there are none.
	blanks     int
	line, from int
	vars       []EnvVar
	errs       []error
}

func isBlank(c byte) bool  { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
func endsLine(c byte) bool { return c == '\n' || c == '\r' }

func (p *valuesParser) next(c byte) {
	switch p.state {
	case beforeName, inName:
		p.nextOfName(c)
	case beforeValue:
		switch {
		case endsLine(c):
			p.push()
		case c == '\'':
			p.state, p.blanks = inSingle, -1
		case c == '"':
			p.state, p.blanks = inDouble, -1
		case c == '\\':
			p.state, p.blanks = escaped, -1
		case !isBlank(c):
			p.state = inValue
			p.value = append(p.value, c)
		}
	case inValue:
		p.nextOfValue(c)
	case escaped:
		p.state = inValue
		if !endsLine(c) {
			p.value = append(p.value, c)
		}
	case inSingle:
		if c == '\'' {
			p.state = beforeValue
		} else {
			p.value = append(p.value, c)
		}
	case inDouble, escapedInDouble:
		p.nextOfQuoted(c)
	case inComment, escapedInComment:
		switch {
		case endsLine(c):
			// Before systemd 254 a backslash made the next line part of the comment.
			p.state = beforeName
		case p.state == inComment && c == '\\':
			p.state = escapedInComment
		default:
			p.state = inComment
		}
	}
}

func (p *valuesParser) nextOfName(c byte) {
	switch {
	case p.state == beforeName && (c == '#' || c == ';'):
		p.state = inComment
	case p.state == beforeName && isBlank(c):
	case p.state == beforeName:
		p.state, p.name, p.value, p.blanks, p.from = inName, []byte{c}, nil, -1, p.line
	case endsLine(c):
		p.state = beforeName
		p.fail(`has no "="`)
	case c == '=':
		p.state = beforeValue
	default:
		p.name = append(p.name, c)
	}
}

func (p *valuesParser) nextOfValue(c byte) {
	switch {
	case endsLine(c):
		p.push()
		return
	case c == '\\':
		p.state, p.blanks = escaped, -1
		return
	case !isBlank(c):
		p.blanks = -1
	case p.blanks < 0:
		p.blanks = len(p.value)
	}
	p.value = append(p.value, c)
}

func (p *valuesParser) nextOfQuoted(c byte) {
	switch {
	case p.state == inDouble && c == '"':
		p.state = beforeValue
	case p.state == inDouble && c == '\\':
		p.state = escapedInDouble
	case p.state == inDouble:
		p.value = append(p.value, c)
	default:
		p.state = inDouble
		switch {
		case strings.IndexByte("\"\\`$", c) >= 0:
			p.value = append(p.value, c)
		case c != '\n':
			p.value = append(p.value, '\\', c)
		}
	}
}

// push keeps the assignment that has ended.
func (p *valuesParser) push() {
	p.state = beforeName
	if p.blanks >= 0 {
		p.value = p.value[:p.blanks]
	}
	name := strings.TrimRight(string(p.name), " \t\r\n")
	if !validEnvName(name) {
		p.fail("has no variable name before the \"=\" (letters, digits and \"_\", not beginning with a digit)")
		return
	}
	p.vars = slices.DeleteFunc(p.vars, func(e EnvVar) bool { return e.Name == name })
	p.vars = append(p.vars, EnvVar{Name: name, Value: string(p.value)})
}

func (p *valuesParser) end() {
	switch p.state {
	case beforeValue, inValue, escaped, inSingle, inDouble, escapedInDouble:
		if p.state == inSingle || p.state == inDouble {
			p.fail("begins a value whose closing quote is missing")
		}
		p.push()
	case inName:
		p.fail(`has no "="`)
	}
}

func (p *valuesParser) fail(what string) {
	p.errs = append(p.errs, fmt.Errorf("line %d %s", p.from, what))
}

// FillValues gives the variables of an app the values of its values file. Variables that are only in the file are appended,
// since the worker gets them as well. Variables without a line in it stay hidden.
func (a *App) FillValues(data []byte) {
	// Lines that systemd ignores are ignored here, too.
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
