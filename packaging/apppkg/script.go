package apppkg

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
)

//go:embed scripts/*.tmpl
var scripts embed.FS

// scriptView contains the values for the templates of the maintainer scripts.
type scriptView struct {
	Name, Package, Service, Slice string
	// StartLimit is the time limit of the scripts for a start of the app, in seconds.
	StartLimit               int
	Sockets                  []string
	Home, Dist, Release, Etc string
	// Mark is the text of the mark file in directories that the package creates. MadeBy is the prefix of the marks of all
	// packages.
	Mark, MadeBy string
	// Namespace is the namespace of the private journal of the app, or empty. JournalUnits contains the units of the
	// journald of this namespace.
	Namespace    string
	JournalUnits []string
	// State contains the paths of the writable directories, relative to StateRoot. Owner is the owner of these
	// directories. StateLinks contains the paths of the links to these directories, relative to the app's directory in
	// a release. User is the user that postinst creates if it does not exist.
	State, StateLinks         []string
	StateRoot                 string
	User, Group, Gecos, Owner string
	// Needed contains the writable directories that must exist before the install. NeededOwner is the owner of these
	// directories in the hint.
	Needed      []string
	NeededOwner string
	// Units contains the files in the unit directory of systemd, relative to this directory. Others contains the files
	// that are neither in this directory nor in Dist.
	Units, Others []string
	Former        formerView
}

// startMargin is the difference between the time limits for the start of an app and of an instance.
const startMargin = 30 * time.Second

// formerView contains the directories that packages of an earlier clusterctl used. On an upgrade from such a package, the
// data stays in these directories.
type formerView struct {
	Home, State, Etc string
	EnvFiles         []movedFile
}

// movedFile is an environment file in the app's directory, with its path in a former and in a new package. Shipped is
// true if the package contains the file.
type movedFile struct {
	Old, New string
	Shipped  bool
}

func (in Input) view(local units.App, p *Package) scriptView {
	n := in.App.Name
	v := scriptView{
		Name: string(n), Package: p.Name, Service: n.Service(), Slice: n.Slice(), Sockets: in.App.Sockets(),
		Home: home(n), Dist: dist(n), Release: p.Release, Etc: etc(n), Mark: in.gecos(), MadeBy: madeBy,
		StartLimit: int((cmp.Or(in.App.Timeouts.Start, contract.StartTimeout) + startMargin).Seconds()),
		StateRoot:  stateOf(n), Owner: in.App.RunAs.User, Gecos: in.gecos(), Needed: requiredWritable(in.App),
		NeededOwner: cmp.Or(in.App.RunAs.User, "root"), StateLinks: in.stateLinks(local),
		Former: formerView{Home: "/opt/" + string(n), State: "/var/lib/" + string(n), Etc: "/etc/" + string(n)},
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
		if rel, ok := strings.CutPrefix(w, stateOf(n)+"/"); ok {
			v.State = append(v.State, rel)
		}
	}
	for _, f := range p.Files {
		switch {
		case f.Mode.IsDir() || isBelow(f.Path, dist(n)):
		case isBelow(f.Path, in.unitDir()):
			v.Units = append(v.Units, strings.TrimPrefix(f.Path, in.unitDir()+"/"))
		default:
			v.Others = append(v.Others, f.Path)
		}
	}
	for _, f := range local.EnvFiles {
		if to := envFilePath(n, f.Path); Contains(in.Roots, f.Path) {
			v.Former.EnvFiles = append(v.Former.EnvFiles,
				movedFile{Old: v.Former.Etc + "/" + path.Base(f.Path), New: to, Shipped: slices.Contains(v.Others, to)})
		}
	}
	return v
}

// addControl adds the files in DEBIAN/: control, conffiles and the maintainer scripts.
func (in Input) addControl(local units.App, p *Package) error {
	var kilobytes int64
	for _, f := range p.Files {
		kilobytes += max((f.Size+1023)/1024, 1)
	}
	p.Control = []File{content("control", []byte(in.control(kilobytes)))}
	if len(p.Conffiles) > 0 {
		slices.Sort(p.Conffiles)
		p.Control = append(p.Control, content("conffiles", []byte(strings.Join(p.Conffiles, "\n")+"\n")))
	}
	for _, name := range []string{"preinst", "postinst", "prerm", "postrm"} {
		file := name + ".tmpl"
		t, err := template.New(file).Funcs(template.FuncMap{"q": text.Shell, "dir": path.Dir}).ParseFS(scripts,
			"scripts/common.tmpl", path.Join("scripts", file))
		if err != nil {
			return fmt.Errorf("internal error: %w", err)
		}
		var b bytes.Buffer
		if err := t.Execute(&b, in.view(local, p)); err != nil {
			return fmt.Errorf("internal error: %w", err)
		}
		p.Control = append(p.Control, File{Path: name, Mode: 0o755, Data: b.Bytes(), Size: int64(b.Len())})
	}
	return nil
}
