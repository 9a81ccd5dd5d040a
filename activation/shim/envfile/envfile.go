// Package envfile reads files of environment variables exactly as EnvironmentFile= of systemd does.
//
// PID 1 reads such files as root. A file that the workers' user may replace by a symbolic link must not be read with that
// right, so the shim reads it as the workers' user.
package envfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"
)

// Syntax is what has changed from one systemd to another.
type Syntax struct {
	// CommentsContinue: a backslash at the end of a comment makes the next line a part of the comment, as before systemd 254.
	CommentsContinue bool
}

// maxSize is more than the kernel takes as an environment.
const maxSize = 4 << 20

// Read returns the variables of a file as NAME=VALUE, in the order of the file. It does not wait for the writer of a FIFO.
func Read(path string, s Syntax) ([]string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New(path + " is not a file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxSize {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, maxSize)
	}
	vars, err := Parse(string(data), s)
	if err != nil {
		return nil, errors.New(path + ": " + err.Error())
	}
	return vars, nil
}

// Parse returns the variables of a text as NAME=VALUE: of a name that is set more than once, the last value at the first
// place. Names that systemd does not take are left out (load_env_file and strv_env_clean).
func Parse(text string, s Syntax) ([]string, error) {
	if strings.IndexByte(text, 0) >= 0 {
		return nil, errors.New("it contains NUL")
	}
	p := parser{syntax: s}
	for i := range len(text) {
		if p.states(text[i]); p.err != nil {
			return nil, p.err
		}
	}
	if p.state >= preValue && p.state <= doubleEscape {
		p.push()
	}
	if p.err != nil {
		return nil, p.err
	}
	return slices.DeleteFunc(p.vars, func(v string) bool { return !valid(v) }), nil
}

// Merge returns env with vars added; a variable that is there gets the new value. Variables of a file win over all that is
// set before, as in systemd.
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

// state has the states of systemd's parser (basic/env-file.c, parse_env_file_internal), in the same order.
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
	// keyEnd and valueEnd are where blanks at the end begin, or -1.
	keyEnd, valueEnd int
	vars             []string
	err              error
}

func newline(c byte) bool { return c == '\n' || c == '\r' }
func blank(c byte) bool   { return newline(c) || c == ' ' || c == '\t' }

func (p *parser) states(c byte) {
	switch p.state {
	case preKey:
		switch {
		case c == '#' || c == ';':
			p.state = comment
		case !blank(c):
			p.state, p.keyEnd, p.key = key, -1, append(p.key[:0], c)
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

// push ends an assignment.
func (p *parser) push() {
	name, v := p.key, p.value
	if p.keyEnd >= 0 {
		name = name[:p.keyEnd]
	}
	if p.state == value && p.valueEnd >= 0 {
		v = v[:p.valueEnd]
	}
	if !utf8.Valid(name) || !utf8.Valid(v) {
		p.err = errors.New("the variable " + strings.ToValidUTF8(string(name), "?") + " is not valid UTF-8")
		return
	}
	p.vars = replace(p.vars, string(name)+"="+string(v))
	p.state, p.key, p.value = preKey, p.key[:0], nil
}

// valid says whether systemd takes the name of a variable (basic/env-util.c, env_name_is_valid).
func valid(assignment string) bool {
	name, _, _ := strings.Cut(assignment, "=")
	for i := range len(name) {
		c := name[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
