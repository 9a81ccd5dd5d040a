package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// decoder collects the errors of one file.
type decoder struct {
	file string
	// The field hidden means that a variable may have the value null.
	hidden bool
	// The field generated means that clusterctl wrote the file. If such a file has no key "instances", an older clusterctl
	// omitted the default, max.
	generated bool
	errs      Errors
}

func (d *decoder) errorf(n *yaml.Node, field, hint, format string, args ...any) {
	d.add(n, field, hint, fmt.Sprintf(format, args...))
}

func (d *decoder) add(n *yaml.Node, field, hint, message string) {
	d.errs = append(d.errs, &Error{File: d.file, Line: n.Line, Column: n.Column, Field: field, Message: message, Advice: hint})
}

// The method result returns the errors, sorted by position.
func (d *decoder) result() error {
	if len(d.errs) == 0 {
		return nil
	}
	slices.SortStableFunc(d.errs, func(a, b *Error) int {
		return cmp.Or(a.Line-b.Line, a.Column-b.Column)
	})
	return d.errs
}

// The method load returns the root of the only document, or nil after an error.
func (d *decoder) load(data []byte) *yaml.Node {
	if bad := d.checkText(data); bad {
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil {
		d.syntax(data, err)
		return nil
	}
	var doc, second yaml.Node
	switch err := loader.Load(&doc); {
	case errors.Is(err, io.EOF):
		d.add(&yaml.Node{}, "", "write name: and command:", "contains no app")
		return nil
	case err != nil:
		d.syntax(data, err)
		return nil
	case doc.Kind != yaml.DocumentNode || len(doc.Content) != 1:
		d.add(&yaml.Node{}, "", "", "is not a YAML document")
		return nil
	}
	switch err := loader.Load(&second); {
	case err == nil:
		d.add(&second, "", "write several apps as a map: apps: {shop: …, mailer: …}", "a second document begins here")
		return nil
	case !errors.Is(err, io.EOF):
		d.syntax(data, err)
		return nil
	}
	return doc.Content[0]
}

// checkText reports the first character that YAML does not allow, with its line. The error of the YAML library would have no
// line.
func (d *decoder) checkText(data []byte) (bad bool) {
	text := bytes.TrimPrefix(data, []byte("\ufeff"))
	line := 1
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && size == 1:
			d.add(&yaml.Node{Line: line}, "", "save the file as UTF-8", fmt.Sprintf("the byte 0x%02x is not valid UTF-8", text[0]))
			return true
		case r == '\n':
			line++
		case !readable(r):
			d.add(&yaml.Node{Line: line}, "", fmt.Sprintf(`write the character as an escape in double quotes: "%s"`, escape(r)),
				fmt.Sprintf("the character %U is not allowed in a YAML file", r))
			return true
		}
		text = text[size:]
	}
	return false
}

// The function readable reports whether YAML allows the character (c-printable in YAML 1.2.2, 5.1). It returns false for the
// byte order mark.
func readable(r rune) bool {
	switch {
	case r == '\t', r == '\n', r == '\r', r == 0x85:
		return true
	case r < 0x20, r >= 0x7f && r < 0xa0, r == 0xfeff, r == 0xfffe, r == 0xffff:
		return false
	}
	return true
}

// The method syntax reports an error of the YAML library.
func (d *decoder) syntax(data []byte, err error) {
	var e *yaml.LoadError
	if !errors.As(err, &e) {
		d.add(&yaml.Node{}, "", "", err.Error())
		return
	}
	at := &yaml.Node{Line: e.Mark.Line, Column: e.Mark.Column}
	message := e.Message
	if e.ContextMsg != "" {
		message += " " + e.ContextMsg
		if l := e.ContextMark.Line; l > 0 && l != e.Mark.Line {
			message += fmt.Sprintf(" that begins in line %d", l)
		}
	}
	hint := ""
	if isUnquoted(data, e.Mark.Line) {
		hint = `put a value that begins with @, [, *, & or % into quotes: "[::1]:8080"`
	}
	d.add(at, "", hint, message)
}

// isUnquoted reports whether a word in the line with this number, counted from 1, begins with a character that
// has a meaning in YAML.
func isUnquoted(data []byte, line int) bool {
	for text := range bytes.Lines(data) {
		if line--; line == 0 {
			return slices.ContainsFunc(strings.Fields(string(text)), func(w string) bool { return strings.IndexByte("@[*&%`", w[0]) >= 0 })
		}
	}
	return false
}

// The type pair is one entry of a map.
type pair struct {
	name       string
	key, value *yaml.Node
}

// The method pairs returns the entries of a map whose keys are texts. A duplicate key is an error. A merge key ("<<") adds
// the entries of another map, except entries with a key that this map also has.
func (d *decoder) pairs(field string, n *yaml.Node) (pairs []pair, ok bool) {
	n = target(n)
	if n.Kind != yaml.MappingNode {
		d.errorf(n, field, "", "is %s, but must be a map", kind(n))
		return nil, false
	}
	return d.merge(field, n, nil, map[*yaml.Node]bool{}), true
}

// The method merge appends the entries of a map. It skips the maps in the parameter seen, so that it ends if a map contains
// itself.
func (d *decoder) merge(field string, n *yaml.Node, pairs []pair, seen map[*yaml.Node]bool) []pair {
	if seen[n] {
		return pairs
	}
	seen[n] = true
	lines := map[string]int{}
	var later []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := target(n.Content[i]), n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode || key.ShortTag() == "!!null":
			d.errorf(key, field, "", "a key is %s, but must be text", kind(key))
		case key.ShortTag() == "!!merge":
			later = append(later, target(value))
		case lines[key.Value] > 0:
			d.errorf(key, join(field, key.Value), "", "is given twice, first in line %d", lines[key.Value])
		default:
			lines[key.Value] = key.Line
			if !slices.ContainsFunc(pairs, func(p pair) bool { return p.name == key.Value }) {
				pairs = append(pairs, pair{key.Value, key, value})
			}
		}
	}
	for _, m := range later {
		sources := []*yaml.Node{m}
		if m.Kind == yaml.SequenceNode {
			sources = m.Content
		}
		for _, s := range sources {
			if s = target(s); s.Kind != yaml.MappingNode {
				d.errorf(s, join(field, "<<"), "", "is %s, but must be a map", kind(s))
				continue
			}
			pairs = d.merge(field, s, pairs, seen)
		}
	}
	return pairs
}

func join(field, key string) string {
	if field == "" {
		return key
	}
	return field + "." + key
}

// The function target returns the node that an alias refers to. The YAML library has checked that every alias has an anchor.
func target(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

// The function kind returns the kind of a node in words for the user.
func kind(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a map"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.ShortTag() == "!!null":
		return "empty"
	}
	return "one value"
}

// Error is one mistake in a file.
type Error struct {
	// File is the name that was passed to Decode.
	File string
	// Line and Column count from 1; 0 means that the mistake has no position.
	Line, Column int
	// The field Field is the key with its parents, for example "env.PORT" or "apps.shop.listen", or empty.
	Field string
	// The field Message describes the mistake, in lower case and without a full stop.
	Message string
	// Advice is a suggestion for the user, or empty.
	Advice string
}

// Error returns "file:line: field: message".
func (e *Error) Error() string {
	s := e.File
	if e.Line > 0 {
		s += ":" + strconv.Itoa(e.Line)
	}
	if e.Field != "" {
		s += ": " + e.Field
	}
	return s + ": " + e.Message
}

// Hint returns the advice. Package fault prints the hint of every error that has this method.
func (e *Error) Hint() string { return e.Advice }

// The type Errors contains all mistakes in a file, in the order of their lines. Errors is never empty.
type Errors []*Error

// Error returns one line per mistake, without the hints.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the errors, so that errors.As finds an [Error].
func (e Errors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, err := range e {
		errs[i] = err
	}
	return errs
}
