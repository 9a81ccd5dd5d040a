// Package envfile parses environment files exactly as EnvironmentFile= of systemd does.
package envfile

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Syntax describes the differences between versions of systemd.
type Syntax struct {
	// CommentsContinue is true before systemd 254: if a comment ends with a backslash, the next line is a part of the
	// comment.
	CommentsContinue bool
}

// Fault is a part of a file that systemd does not accept. The text of a Fault never contains a value from the file.
type Fault struct {
	Line int // line where the assignment begins, from 1
	What string
	// Whole reports whether systemd refuses the whole file. Otherwise systemd ignores only the assignment.
	Whole bool
}

func (f Fault) Error() string { return "line " + strconv.Itoa(f.Line) + " " + f.What }

// Parse returns the variables of a text as NAME=VALUE, and the parts that systemd does not accept. If a name is set more
// than once, the variable keeps its first position and gets the last value (load_env_file and strv_env_clean in systemd).
func Parse(text string, s Syntax) (vars []string, faults []Fault) {
	p := parser{syntax: s, line: 1}
	for i := range len(text) {
		if text[i] == 0 {
			p.from = p.line
			p.fault("contains NUL", true)
			return p.vars, p.faults
		}
		p.consume(text[i])
		if text[i] == '\n' {
			p.line++
		}
	}
	p.end()
	return p.vars, p.faults
}

// Merge returns the variables of env and vars. As in systemd, a variable of vars replaces the variable of env with the
// same name.
func Merge(env, vars []string) []string {
	env = slices.Clone(env)
	for _, v := range vars {
		env = replace(env, v)
	}
	return env
}

func replace(env []string, assignment string) []string {
	name, _, _ := strings.Cut(assignment, "=")
	for i, v := range env {
		if n, _, ok := strings.Cut(v, "="); ok && n == name {
			env[i] = assignment
			return env
		}
	}
	return append(env, assignment)
}

// state is a state of the parser. The states have the names and the order of systemd's parser (basic/env-file.c,
// parse_env_file_internal).
type state int

const (
	preKey state = iota
	key
	preValue
	value
	valueEscape
	single
	double
	doubleEscape
	comment
	commentEscape
)

type parser struct {
	syntax Syntax
	state  state
	key    []byte
	value  []byte
	// keyEnd and valueEnd are the positions where the trailing blanks begin, or -1.
	keyEnd, valueEnd int
	// The field line is the number of the current line, counted from 1. The field from is the number of the line where
	// the key begins.
	line, from int
	vars       []string
	faults     []Fault
}

func newline(c byte) bool { return c == '\n' || c == '\r' }
func blank(c byte) bool   { return newline(c) || c == ' ' || c == '\t' }

func (p *parser) consume(c byte) {
	switch p.state {
	case preKey:
		switch {
		case c == '#' || c == ';':
			p.state = comment
		case !blank(c):
			p.state, p.keyEnd, p.key, p.from = key, -1, append(p.key[:0], c), p.line
		}
	case key:
		p.inKey(c)
	case preValue:
		p.beforeValue(c)
	case value:
		p.inValue(c)
	case valueEscape:
		p.state = value
		if !newline(c) {
			p.value = append(p.value, c)
		}
	case single, double, doubleEscape:
		p.inQuotes(c)
	case comment:
		switch {
		case c == '\\':
			p.state = commentEscape
		case newline(c):
			p.state = preKey
		}
	case commentEscape:
		if p.state = comment; newline(c) && !p.syntax.CommentsContinue {
			p.state = preKey
		}
	}
}

func (p *parser) inKey(c byte) {
	switch {
	case newline(c):
		p.state = preKey // a line without "=", such as [section]
		p.fault(`has no "="`, false)
		return
	case c == '=':
		p.state, p.valueEnd = preValue, -1
		return
	case !blank(c):
		p.keyEnd = -1
	case p.keyEnd < 0:
		p.keyEnd = len(p.key)
	}
	p.key = append(p.key, c)
}

func (p *parser) beforeValue(c byte) {
	switch {
	case newline(c):
		p.push()
	case c == '\'':
		p.state = single
	case c == '"':
		p.state = double
	case c == '\\':
		p.state = valueEscape
	case !blank(c):
		p.state, p.value = value, append(p.value, c)
	}
}

func (p *parser) inValue(c byte) {
	switch {
	case newline(c):
		p.push()
		return
	case c == '\\':
		p.state, p.valueEnd = valueEscape, -1
		return
	case !blank(c):
		p.valueEnd = -1
	case p.valueEnd < 0:
		p.valueEnd = len(p.value)
	}
	p.value = append(p.value, c)
}

func (p *parser) inQuotes(c byte) {
	switch {
	case p.state == single && c == '\'', p.state == double && c == '"':
		p.state = preValue
	case p.state == double && c == '\\':
		p.state = doubleEscape
	case p.state != doubleEscape:
		p.value = append(p.value, c)
	default:
		p.state = double
		if strings.IndexByte("\"\\`$", c) < 0 && c != '\n' {
			p.value = append(p.value, '\\')
		}
		if c != '\n' {
			p.value = append(p.value, c)
		}
	}
}

// The method push ends the current assignment. It adds the assignment to vars, or adds a fault if the assignment is
// invalid.
func (p *parser) push() {
	name, v := p.key, p.value
	if p.keyEnd >= 0 {
		name = name[:p.keyEnd]
	}
	if p.state == value && p.valueEnd >= 0 {
		v = v[:p.valueEnd]
	}
	switch {
	case !utf8.Valid(name) || !utf8.Valid(v):
		p.fault("is not valid UTF-8", true)
	case !ValidName(string(name)):
		p.fault(`has no variable name before the "=" (letters, digits and "_", not beginning with a digit)`, false)
	default:
		p.vars = replace(p.vars, string(name)+"="+string(v))
	}
	p.state, p.key, p.value = preKey, p.key[:0], nil
}

// The method end handles the end of the file. systemd accepts a value whose closing quote is missing.
func (p *parser) end() {
	if p.state == key {
		p.fault(`has no "="`, false)
	}
	if p.state == single || p.state == double || p.state == doubleEscape {
		p.fault("begins a value whose closing quote is missing", false)
	}
	if p.state >= preValue && p.state <= doubleEscape {
		p.push()
	}
}

func (p *parser) fault(what string, whole bool) {
	p.faults = append(p.faults, Fault{Line: p.from, What: what, Whole: whole})
}

// ValidName reports whether systemd accepts s as the name of a variable (basic/env-util.c, env_name_is_valid).
func ValidName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
