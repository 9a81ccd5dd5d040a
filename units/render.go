package units

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/templates"
)

// Target describes the machine for which units are rendered.
type Target struct {
	// Systemd is the version of systemd, at least OldestSystemd. Keys that this version does not support are omitted.
	Systemd int
	// Sizing is App.Instances, resolved for the machine.
	Sizing Sizing
	// Source is the file that the units are generated from, /etc/clusterctl/NAME.yaml, or empty. The file must exist when
	// systemd reads the units. Otherwise each systemctl command warns that the unit has changed (SourcePath=).
	Source string
	// Values is the path of the values file, /etc/clusterctl/NAME.env. If Values is empty, as in a package, the template
	// contains the values of variables.
	Values string
	// Secrets are the files that the workers find in $CREDENTIALS_DIRECTORY.
	Secrets []Secret
	// Shim is the path of clusterctl-shim, without characters that need quotes in a unit. Empty means [DefaultShim].
	Shim string
	// SplitAggregate means that the settings for listeners are not in the aggregate, but in the drop-in
	// [Name.ReleaseDropIn]. The aggregate itself is then the same for all versions of the app.
	SplitAggregate bool
	// Sockets are the files of the Unix sockets that the app listens on now. Only RenderProbe uses this field.
	Sockets []string
}

// OldestSystemd is the oldest version that the units support. Debian 11 has this version.
const OldestSystemd = 247

// Render returns the unit files of the app for the target. Render returns an error only if [App.Validate] returns an error,
// or if the target is invalid.
func Render(a App, t Target) (Set, error) {
	if err := a.Validate(); err != nil {
		return nil, err
	}
	if t.Systemd < OldestSystemd {
		return nil, fmt.Errorf("systemd %d is older than %d, the oldest that clusterctl supports", t.Systemd, OldestSystemd)
	}
	if t.Sizing.Listed < 1 || t.Sizing.Listed > MaxInstances {
		return nil, fieldErrorf("instances", "", "%d must be between 1 and %d", t.Sizing.Listed, MaxInstances)
	}
	r := renderer{app: a, target: t}
	r.source = r.must(lineText("source", t.Source))
	sockets := r.socketViews()
	for _, s := range sockets {
		r.sockets = append(r.sockets, string(s.Unit))
	}
	aggregate := r.aggregate()
	if t.SplitAggregate && len(a.Listen) > 0 {
		r.add(a.Name.ReleaseDropIn(), "release.conf.tmpl", aggregate)
		aggregate.Sockets, aggregate.NonBlocking = "", ""
	}
	r.add(a.Name.Service(), "aggregate.service.tmpl", aggregate)
	r.add(a.Name.DropIn(), "instances.conf.tmpl", r.instances())
	r.add(a.Name.Template(), "instance.service.tmpl", r.instance())
	if a.Sandbox != SandboxOff {
		r.add(a.Name.Template(), "sandbox.tmpl", r.sandbox())
	}
	r.add(a.Name.Slice(), "app.slice.tmpl", r.header(a.Name.Slice()))
	for _, s := range sockets {
		r.add(string(s.Unit), "app.socket.tmpl", s)
	}
	if len(t.Secrets) > 0 {
		r.add(a.Name.SecretsDropIn(), "secrets.conf.tmpl", r.secrets())
	}
	if a.Logs.Namespace {
		r.add(a.Name.JournalConf(), "journald.conf.tmpl", r.journal())
	}
	if r.err != nil {
		return nil, r.err
	}
	for i, f := range r.files {
		r.files[i].Data = seal(f.Data)
	}
	if t.Values != "" && len(a.Env) > 0 {
		r.files = append(r.files, r.values())
	}
	slices.SortFunc(r.files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return r.files, nil
}

// renderer collects the files and the first error.
type renderer struct {
	app     App
	target  Target
	source  value
	sockets []string
	files   []File
	err     error
}

// The method add executes a template, and appends the output to the file with this path.
func (r *renderer) add(path, name string, view any) {
	if r.err != nil {
		return
	}
	var b bytes.Buffer
	tmpl, err := template.ParseFS(templates.FS, name)
	if err == nil {
		err = tmpl.Execute(&b, view)
	}
	if err != nil {
		r.err = fmt.Errorf("internal error: %w", err)
		return
	}
	if i := slices.IndexFunc(r.files, func(f File) bool { return f.Path == path }); i >= 0 {
		r.files[i].Data = append(r.files[i].Data, b.Bytes()...)
		return
	}
	r.files = append(r.files, File{Path: path, Data: b.Bytes()})
}

// The method must returns v, and stores the first error in r.err. If Validate accepts the app, err is nil.
func (r *renderer) must(v value, err error) value {
	if err != nil && r.err == nil {
		r.err = err
	}
	return v
}

// The type header has the fields that every template uses.
type header struct {
	App, Unit, Service, Source, SourcePath, Slice value
}

func (r *renderer) header(unit string) header {
	return header{
		App: fixed(string(r.app.Name)), Unit: fixed(unit), Service: fixed(r.app.Name.Service()),
		Source: cmp.Or(r.source, "the command line"), SourcePath: r.source, Slice: fixed(r.app.Name.Slice()),
	}
}

type aggregateView struct {
	header
	Sockets, NonBlocking value
}

func (r *renderer) aggregate() aggregateView {
	return aggregateView{
		header: r.header(r.app.Name.Service()), Sockets: fixed(strings.Join(r.sockets, " ")), NonBlocking: r.nonBlocking(),
	}
}

type instancesView struct {
	header
	Instances, Numbers value
}

func (r *renderer) instances() instancesView {
	var names, numbers []string
	for i := 1; i <= r.target.Sizing.Listed; i++ {
		names = append(names, r.app.Name.Instance(i))
		numbers = append(numbers, strconv.Itoa(i))
	}
	return instancesView{
		header:    r.header(r.app.Name.Service()),
		Instances: fixed(strings.Join(names, " ")), Numbers: fixed(strings.Join(numbers, " ")),
	}
}

type socketView struct {
	header
	FDName, Backlog     value
	Streams, Datagrams  []value
	DualStack, FreeBind value
	Mode, User, Group   value
	Own                 value   // the command with which the shim changes the owner of Files, or empty
	Files               []value // the files whose owner Own changes, as quoted words
	NoDelay             value
	Options             []value
}

// dualStack returns the BindIPv6Only= that a socket unit must have with listener l. current is the value without l. The
// setting applies to a whole unit. A port without an address means IPv6 and IPv4. A listener on [::] must not accept IPv4 if
// the app also listens on 0.0.0.0.
func (r *renderer) dualStack(l Listener, current value) value {
	switch {
	case l.Network == Unix:
		return current
	case l.hasPair(r.app.Listen):
		return "ipv6-only"
	case !l.Host.IsValid() && current == "":
		return "both"
	}
	return current
}

// socketViews returns one socket unit per FileDescriptorName=, in the order of the listeners. The unit of the first name is
// app.socket.
func (r *renderer) socketViews() []socketView {
	var views []socketView
	for _, l := range r.app.Listen {
		unit := r.app.SocketUnit(l)
		i := slices.IndexFunc(views, func(v socketView) bool { return v.Unit == value(unit) })
		if i < 0 {
			i = len(views)
			views = append(views, socketView{
				header: r.header(unit), FDName: fixed(l.FDName()), Backlog: fixed(strconv.Itoa(contract.Backlog)),
			})
		}
		v := &views[i]
		addr := r.must(lineText("listen", l.Address()))
		if l.Network == UDP {
			v.Datagrams = append(v.Datagrams, addr)
		} else {
			v.Streams = append(v.Streams, addr)
		}
		v.DualStack = r.dualStack(l, v.DualStack)
		if l.Host.IsValid() && !l.Host.IsUnspecified() && !l.Host.IsLoopback() {
			v.FreeBind = "yes"
		}
		v.options(r.app, l)
		if l.file() {
			access := r.app.SocketAccess()
			v.Mode = fixed(FormatSocketMode(access.Mode))
			v.User = r.must(lineText("socket-user", access.User))
			v.Group = r.must(lineText("socket-group", access.Group))
			if r.app.socketInReach() && v.User+v.Group != "" {
				v.Files = append(v.Files, r.must(word("listen", l.Path)))
			}
		}
	}
	for i := range views {
		views[i].setOwnCommand(r.target.shim())
	}
	return views
}

// setOwnCommand sets the command with which the shim changes the owner of the files. PID 1 then does not change the owner.
func (v *socketView) setOwnCommand(shim string) {
	if len(v.Files) == 0 {
		return
	}
	words := []string{shim, "own"}
	if v.User != "" {
		words = append(words, "--user="+string(v.User))
	}
	if v.Group != "" {
		words = append(words, "--group="+string(v.Group))
	}
	for _, f := range v.Files {
		words = append(words, string(f))
	}
	v.Own = fixed(strings.Join(words, " "))
	v.User, v.Group = "", ""
}
