package config

import (
	"errors"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/clusterctl/clusterctl/units"
)

// The type field is one key of an app.
type field struct {
	name string
	read func(r *appReader, field string, n *yaml.Node)
}

// The function fields returns all keys, in the order of Encode.
func fields() []field {
	return []field{
		{"name", func(r *appReader, f string, n *yaml.Node) { s, _ := r.text(f, n); r.app.Name = units.Name(s) }},
		{"command", (*appReader).command},
		{"directory", func(r *appReader, f string, n *yaml.Node) { r.app.Directory = r.nonEmpty(f, n) }},
		{"run-as", (*appReader).runAs},
		{"instances", func(r *appReader, f string, n *yaml.Node) { r.app.Instances = parseScalar(r, f, n, units.ParseCount) }},
		{"listen", func(r *appReader, f string, n *yaml.Node) { r.app.Listen = parsedList(r, f, n, units.ParseListener) }},
		{"socket-mode", func(r *appReader, f string, n *yaml.Node) {
			r.app.Socket.Mode = parseScalar(r, f, n, units.ParseSocketMode)
		}},
		{"socket-user", func(r *appReader, f string, n *yaml.Node) { r.app.Socket.User = r.nonEmpty(f, n) }},
		{"socket-group", func(r *appReader, f string, n *yaml.Node) { r.app.Socket.Group = r.nonEmpty(f, n) }},
		{"socket-options", func(r *appReader, f string, n *yaml.Node) {
			r.app.SocketOptions = parsedList(r, f, n, units.ParseSocketOption)
		}},
		{"activation", func(r *appReader, f string, n *yaml.Node) {
			r.app.Activation = parseScalar(r, f, n, units.ParseActivation)
		}},
		{"ready", func(r *appReader, f string, n *yaml.Node) { r.app.Ready = parseScalar(r, f, n, units.ParseReady) }},
		{"env", func(r *appReader, f string, n *yaml.Node) { r.app.Env = r.readVariables(f, n) }},
		{"env-files", (*appReader).envFiles},
		{"worker-env-files", (*appReader).envFiles},
		{"trust", func(r *appReader, f string, n *yaml.Node) { r.app.Trust = r.texts(f, n) }},
		{"secret-env", func(r *appReader, f string, n *yaml.Node) { r.app.SecretEnv = r.texts(f, n) }},
		{"restart", func(r *appReader, f string, n *yaml.Node) { r.app.Restart = parseScalar(r, f, n, units.ParseRestart) }},
		{"sandbox", func(r *appReader, f string, n *yaml.Node) { r.app.Sandbox = parseScalar(r, f, n, units.ParseSandbox) }},
		{"writable", func(r *appReader, f string, n *yaml.Node) { r.app.Writable = r.texts(f, n) }},
		{"read", func(r *appReader, f string, n *yaml.Node) { r.app.Reads = r.texts(f, n) }},
		{"allow", func(r *appReader, f string, n *yaml.Node) { r.app.Allow = parsedList(r, f, n, parseAllowance) }},
		{"start-timeout", func(r *appReader, f string, n *yaml.Node) { r.app.Timeouts.Start = parseScalar(r, f, n, parseDuration) }},
		{"drain-timeout", func(r *appReader, f string, n *yaml.Node) { r.app.Timeouts.Drain = parseScalar(r, f, n, parseDuration) }},
		{"stop-timeout", func(r *appReader, f string, n *yaml.Node) { r.app.Timeouts.Stop = parseScalar(r, f, n, parseDuration) }},
		{"surge", func(r *appReader, f string, n *yaml.Node) { r.app.Surge = parseScalar(r, f, n, parseNumber) }},
		{"increment", func(r *appReader, f string, n *yaml.Node) { r.app.Shim.Increment = r.readVariables(f, n) }},
		{"pin", func(r *appReader, f string, n *yaml.Node) { r.app.Shim.Pin = parseScalar(r, f, n, parseBool) }},
		{"max-restarts", func(r *appReader, f string, n *yaml.Node) { r.app.Shim.MaxRestarts = parseScalar(r, f, n, parseNumber) }},
		{"min-uptime", func(r *appReader, f string, n *yaml.Node) { r.app.Shim.MinUptime = parseScalar(r, f, n, parseDuration) }},
		{"node-preload", func(r *appReader, f string, n *yaml.Node) {
			r.app.Shim.NoNodePreload = !parseScalar(r, f, n, parseBool)
		}},
		{"accept", func(r *appReader, f string, n *yaml.Node) {
			r.app.Shim.HoldAccept = parseScalar(r, f, n, oneOf("hold", "pass"))
		}},
		{"own-ptrace", func(r *appReader, f string, n *yaml.Node) { r.app.Shim.OwnPtrace = parseScalar(r, f, n, parseBool) }},
		{"drain", func(r *appReader, f string, n *yaml.Node) {
			r.app.Shim.NoDrain = parseScalar(r, f, n, oneOf("off", "on"))
		}},
		{"blocking", func(r *appReader, f string, n *yaml.Node) { r.app.Shim.Blocking = parseScalar(r, f, n, parseBool) }},
		{"log-namespace", func(r *appReader, f string, n *yaml.Node) { r.app.Logs.Namespace = parseScalar(r, f, n, parseBool) }},
		{"log-max-size", func(r *appReader, f string, n *yaml.Node) { r.app.Logs.MaxSize = parseScalar(r, f, n, units.ParseSize) }},
		{"log-max-age", func(r *appReader, f string, n *yaml.Node) { r.app.Logs.MaxAge = parseScalar(r, f, n, units.ParseAge) }},
		{"log-rate", func(r *appReader, f string, n *yaml.Node) { r.app.Logs.Rate = parseScalar(r, f, n, units.ParseLogRate) }},
	}
}

// Keys returns all keys of an app, in the order of Encode.
func Keys() []string {
	var names []string
	for _, f := range fields() {
		names = append(names, f.name)
	}
	return names
}

func findField(name string) (field, bool) {
	for _, f := range fields() {
		if f.name == name {
			return f, true
		}
	}
	return field{}, false
}

// The method text returns the text of a scalar. In the file, an empty text must be in quotes.
func (r *appReader) text(field string, n *yaml.Node) (string, bool) {
	n = target(n)
	if n.Kind != yaml.ScalarNode {
		r.fail(field, n, "", "is %s, but must be one value", kind(n))
		return "", false
	}
	switch tag := n.ShortTag(); tag {
	case "!!str", "!!int", "!!float", "!!bool", "!!timestamp", "!!merge":
		return n.Value, true
	case "!!null":
		r.fail(field, n, `write "" for an empty text, or omit the key`, "has no value")
	default:
		r.fail(field, n, "", "has the tag %s, which has no meaning here", tag)
	}
	return "", false
}

// nonEmpty returns the text of a scalar. An empty text is an error, because it would mean the default.
func (r *appReader) nonEmpty(field string, n *yaml.Node) string {
	s, ok := r.text(field, n)
	if ok && s == "" {
		r.fail(field, n, "omit the key for the default", "is empty")
	}
	return s
}

// parseScalar parses a scalar.
func parseScalar[T any](r *appReader, field string, n *yaml.Node, parse func(string) (T, error)) T {
	var v T
	s, ok := r.text(field, n)
	if !ok {
		return v
	}
	v, err := parse(s)
	if err != nil {
		r.failWith(field, n, err)
	}
	return v
}

// failWith reports the error of a parser, with the hint of the error.
func (r *appReader) failWith(field string, n *yaml.Node, err error) {
	var e *units.FieldError
	if errors.As(err, &e) {
		r.fail(field, n, e.Hint, "%s", e.Message)
		return
	}
	r.fail(field, n, "", "%v", err)
}

// The method list reads a list of texts. A list of one text may be written as a single value.
func (r *appReader) list(field string, n *yaml.Node) []item {
	n = target(n)
	nodes := []*yaml.Node{n}
	switch n.Kind {
	case yaml.SequenceNode:
		nodes = n.Content
	case yaml.MappingNode:
		r.fail(field, n, "", "is a map, but must be a list")
		return nil
	}
	var items []item
	for _, c := range nodes {
		if s, ok := r.text(field, c); ok {
			items = append(items, item{text: s, node: c})
		}
	}
	r.places[field] = nodeOf{node: n, items: items}
	return items
}

func (r *appReader) command(field string, n *yaml.Node) {
	if t := target(n); t.Kind == yaml.ScalarNode && t.ShortTag() != "!!null" {
		r.fail(field, n, "write a list, because no shell splits the text: command: "+flow(strings.Fields(t.Value)),
			"is one text, but must be a list of the program and its arguments")
		return
	}
	r.app.Command = r.texts(field, n)
}

// parsedList parses the entries of a list.
func parsedList[T any](r *appReader, field string, n *yaml.Node, parse func(string) (T, error)) []T {
	var list []T
	for _, it := range r.list(field, n) {
		v, err := parse(it.text)
		if err != nil {
			r.failWith(field, it.node, err)
			continue
		}
		list = append(list, v)
	}
	return list
}

// The method texts reads a list of texts without parsing them.
func (r *appReader) texts(field string, n *yaml.Node) []string {
	var list []string
	for _, it := range r.list(field, n) {
		list = append(list, it.text)
	}
	return list
}

// workerEnvFiles is the key of the environment files that the shim reads as the workers' user.
const workerEnvFiles = "worker-env-files"

// envFiles reads the value of env-files or worker-env-files. The prefix "-" makes a file optional, as in EnvironmentFile=.
// The files that the workers read come last, whichever key comes first in the file.
func (r *appReader) envFiles(field string, n *yaml.Node) {
	var files []units.EnvFile
	for _, it := range r.list(field, n) {
		path, optional := strings.CutPrefix(it.text, "-")
		files = append(files, units.EnvFile{Path: path, Optional: optional, ByWorker: field == workerEnvFiles})
	}
	if field == workerEnvFiles {
		files = append(r.app.EnvFiles, files...)
	} else {
		files = append(files, r.app.EnvFiles...)
	}
	r.app.EnvFiles = files
}

// readVariables returns the variables of a map from names to values, in the order of the file.
func (r *appReader) readVariables(field string, n *yaml.Node) []units.EnvVar {
	if t := target(n); t.Kind == yaml.SequenceNode {
		r.fail(field, n, "write NAME: value", "is a list, but must be a map")
		return nil
	}
	before := len(r.errs)
	pairs, _ := r.pairs(r.prefix+field, n)
	r.bad[field] = r.bad[field] || len(r.errs) > before
	var vars []units.EnvVar
	var items []item
	for _, p := range pairs {
		v := units.EnvVar{Name: p.name, Hidden: field == "env" && r.hidden && target(p.value).ShortTag() == "!!null"}
		ok := v.Hidden
		if !ok {
			v.Value, ok = r.text(field+"."+p.name, p.value)
		}
		if ok {
			vars = append(vars, v)
			items = append(items, item{text: p.name, node: p.key})
		}
	}
	r.places[field] = nodeOf{node: target(n), items: items}
	return vars
}

// runAs parses "dynamic", "USER", "USER:GROUP" or "USER:".
func (r *appReader) runAs(field string, n *yaml.Node) {
	s := r.nonEmpty(field, n)
	user, group, _ := strings.Cut(s, ":")
	switch {
	case s == "dynamic" || r.bad[field]:
	case user == "":
		r.fail(field, n, "write USER:GROUP, or dynamic for a user that exists only while the app runs",
			"%q does not contain a user name", s)
	default:
		r.app.RunAs = units.RunAs{User: user, Group: group}
	}
}
