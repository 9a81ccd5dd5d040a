package apppkg

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"text/template"
)

//go:embed scripts/*.tmpl
var scripts embed.FS

// scriptView is what the maintainer scripts say of the app.
type scriptView struct {
	Name, Package, Service, Slice string
	Sockets                       []string
	Home, Dist, Release           string
	// Namespace is that of the app's own journal, if it has one, and JournalUnits what serves it.
	Namespace    string
	JournalUnits []string
	// State are the directories that the workers write to, below StateRoot; they are Owner's. User is made if it is missing.
	State                     []string
	StateRoot                 string
	User, Group, Gecos, Owner string
}

func (in Input) view(p *Package) scriptView {
	n := in.App.Name
	v := scriptView{
		Name: string(n), Package: p.Name, Service: n.Service(), Slice: n.Slice(), Sockets: in.App.Sockets(),
		Home: home(n), Dist: dist(n), Release: p.Release, StateRoot: stateOf(n), Owner: in.App.RunAs.User, Gecos: in.gecos(),
	}
	if user := in.App.RunAs.User; user != "" && user != "root" && !isNumber(user) {
		v.User = user
		if g := in.App.RunAs.Group; g != user && !isNumber(g) {
			v.Group = g
		}
	}
	if in.App.Logs.Namespace {
		v.Namespace, v.JournalUnits = n.LogNamespace(), n.JournalUnits()
	}
	for _, w := range in.App.Writable {
		if below(w, stateOf(n)) {
			v.State = append(v.State, w)
		}
	}
	return v
}

// quote makes one word of sh(1) of a string.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// addControl fills DEBIAN/: what dpkg is told, and its scripts.
func (in Input) addControl(p *Package) error {
	var kilobytes int64
	for _, f := range p.Files {
		kilobytes += max((f.Size+1023)/1024, 1)
	}
	p.Control = []File{text("control", []byte(in.control(kilobytes)))}
	if len(p.conffiles) > 0 {
		slices.Sort(p.conffiles)
		p.Control = append(p.Control, text("conffiles", []byte(strings.Join(p.conffiles, "\n")+"\n")))
	}
	for _, name := range []string{"preinst", "postinst", "prerm", "postrm"} {
		file := name + ".tmpl"
		t, err := template.New(file).Funcs(template.FuncMap{"q": quote}).ParseFS(scripts, path.Join("scripts", file))
		if err != nil {
			return fmt.Errorf("internal error: %w", err)
		}
		var b bytes.Buffer
		if err := t.Execute(&b, in.view(p)); err != nil {
			return fmt.Errorf("internal error: %w", err)
		}
		f := text(name, b.Bytes())
		f.Mode = fs.FileMode(0o755)
		p.Control = append(p.Control, f)
	}
	return nil
}
