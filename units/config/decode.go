package config

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/clusterctl/clusterctl/units"
)

// Decode parses a file that clusterctl has written. Decode returns the apps in the order of the file, or the mistakes in the
// file as [Errors]. A variable with the value null becomes a hidden variable, whose value is in another file.
func Decode(filename string, data []byte) ([]units.App, error) {
	return parse(&decoder{file: filename, hidden: true, generated: true}, data, nil)
}

// Parse parses a file that a user keeps next to the program. Parse calls resolve with each app before it validates the app,
// so that resolve can make paths absolute or set values from the command line. If resolve returns a [units.FieldError] or
// several joined errors, each is reported with the line of its field. Without the key "instances", the app has the zero
// value of [units.Count].
func Parse(filename string, data []byte, resolve func(*units.App) error) ([]units.App, error) {
	return parse(&decoder{file: filename, generated: Generated(data)}, data, resolve)
}

func parse(d *decoder, data []byte, resolve func(*units.App) error) ([]units.App, error) {
	root := d.load(data)
	if root == nil {
		return nil, d.result()
	}
	var apps []units.App
	for _, r := range d.apps(root) {
		apps = append(apps, r.finish(resolve))
	}
	if err := d.result(); err != nil {
		return nil, err
	}
	return apps, nil
}

// appsKey is the key of the map in a file with several apps.
const appsKey = "apps"

// extension is the prefix of keys that clusterctl ignores. Users can define YAML anchors below such a key, for parts that
// several apps share.
const extension = "x-"

// The method apps reads all apps of a file.
func (d *decoder) apps(root *yaml.Node) []*appReader {
	pairs, ok := d.pairs("", root)
	if !ok {
		return nil
	}
	i := slices.IndexFunc(pairs, func(p pair) bool { return p.name == appsKey })
	if i < 0 {
		return []*appReader{d.app("", root, pairs)}
	}
	several := pairs[i]
	for _, p := range pairs {
		if p.name != appsKey && !strings.HasPrefix(p.name, extension) {
			d.errorf(p.key, p.name, "move the key below the name of an app", "must not be at the same level as %q", appsKey)
		}
	}
	if v := target(several.value); v.Kind == yaml.SequenceNode {
		d.errorf(v, appsKey, "write the name of each app as a key: apps: {shop: {command: [/usr/bin/node]}}",
			"is a list, but must be a map from names to apps")
		return nil
	}
	bodies, ok := d.pairs(appsKey, several.value)
	if !ok {
		return nil
	}
	if len(bodies) == 0 {
		d.errorf(several.value, appsKey, "", "is empty")
	}
	var readers []*appReader
	for _, b := range bodies {
		field := appsKey + "." + b.name
		if pairs, ok := d.pairs(field, b.value); ok {
			r := d.app(field+".", b.value, pairs)
			r.nameFromKey(b)
			readers = append(readers, r)
		}
	}
	return readers
}

// appReader reads the map of one app.
type appReader struct {
	*decoder
	app units.App
	// prefix is written before the names of fields in messages, "apps.shop." or empty.
	prefix string
	body   *yaml.Node
	// The map places contains the node of each field in the file. The map bad contains the fields for which an error was
	// reported.
	places map[string]nodeOf
	bad    map[string]bool
	// The map suggested contains the keys that were suggested in place of an unknown key. Such a key is not reported as
	// missing.
	suggested map[string]bool
}

// nodeOf holds the node of a field. If the field is a list or a map, the slice items contains its entries.
type nodeOf struct {
	node  *yaml.Node
	items []item
}

// The type item is an entry of a list, or the name of a variable.
type item struct {
	text string
	node *yaml.Node
}

func (d *decoder) app(prefix string, body *yaml.Node, pairs []pair) *appReader {
	r := &appReader{
		decoder: d, prefix: prefix, body: body,
		places: map[string]nodeOf{}, bad: map[string]bool{}, suggested: map[string]bool{},
	}
	r.app.Instances.Max = d.generated // applies if the key is missing
	for _, p := range pairs {
		f, known := findField(p.name)
		switch {
		case strings.HasPrefix(p.name, extension):
		case !known:
			r.unknownKey(p)
		default:
			r.places[p.name] = nodeOf{node: p.value}
			f.read(r, f.name, p.value)
		}
	}
	return r
}

// unknownKey reports an unknown key, and suggests a known key that is similar.
func (r *appReader) unknownKey(p pair) {
	hint := ""
	if best := suggest(p.name); best != "" {
		r.suggested[best] = true
		hint = "did you mean " + best + "?"
	}
	r.errorf(p.key, r.prefix+p.name, hint, "is not a known key")
}

// nameFromKey sets the name of the app to its key in the map of apps.
func (r *appReader) nameFromKey(p pair) {
	if inner, ok := r.places["name"]; ok {
		r.fail("name", inner.node, "omit it", "must not be set, because the key of the app, %q, is its name", p.name)
		return
	}
	r.places["name"] = nodeOf{node: p.key}
	r.app.Name = units.Name(p.name)
}

// The method finish resolves and validates the app. Each field has at most one error.
func (r *appReader) finish(resolve func(*units.App) error) units.App {
	if resolve != nil {
		r.report(resolve(&r.app))
	}
	r.report(r.app.Validate())
	return r.app
}

// The method report reports a field error, or several joined errors, each with its position in the file.
func (r *appReader) report(err error) {
	switch e := err.(type) {
	case nil:
	case *units.FieldError:
		r.reportField(e)
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			r.report(inner)
		}
	default:
		r.errorf(r.body, strings.TrimSuffix(r.prefix, "."), "", "%v", err)
	}
}

func (r *appReader) reportField(e *units.FieldError) {
	if r.bad[e.Field()] || r.bad[e.Key] {
		return
	}
	n, message := r.body, e.Message
	if p, present := r.places[e.Key]; present {
		n = p.entry(e.Index)
	} else if e.Missing {
		message = "is missing"
		if r.suggested[e.Key] {
			return
		}
	}
	r.add(n, r.path(e.Field()), e.Hint, message)
}

// The method path returns the name of a field in messages. In a file with several apps, the field "name" is the key of the
// app.
func (r *appReader) path(field string) string {
	if field == "name" && r.prefix != "" {
		return strings.TrimSuffix(r.prefix, ".")
	}
	return r.prefix + field
}

// The method entry returns the node of the entry with the index, or the node of the whole field if the entry does not exist.
func (p nodeOf) entry(index int) *yaml.Node {
	if index < 0 || index >= len(p.items) {
		return p.node
	}
	return p.items[index].node
}

// The method fail reports that a field cannot be read.
func (r *appReader) fail(field string, n *yaml.Node, hint, format string, args ...any) {
	r.bad[field] = true
	r.errorf(n, r.prefix+field, hint, format, args...)
}
