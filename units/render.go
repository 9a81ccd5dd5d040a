package units

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/templates"
)

// Target is the machine that the units are for.
type Target struct {
	// Systemd is its version, from OldestSystemd on; a key that is newer is left out.
	Systemd int
	// Sizing is App.Instances resolved there.
	Sizing Sizing
	// Source is the file that the units are generated from, /etc/clusterctl/NAME.yaml. It has to be there when systemd
	// reads them, or each systemctl warns that the unit has changed (SourcePath=); empty when there is none.
	Source string
	// Values is the path of the values file, /etc/clusterctl/NAME.env. Without it, as in a package, the values of variables
	// are in the template.
	Values string
	// Secrets are the files that the workers find in $CREDENTIALS_DIRECTORY.
	Secrets []Secret
	// Shim is the path of clusterctl-shim, without anything that a unit would have to quote; empty means [DefaultShim].
	Shim string
	// SplitAggregate puts what depends on the listeners into a drop-in of the aggregate, [Name.ReleaseDropIn], so that the
	// aggregate is the same for all versions of the app.
	SplitAggregate bool
	// Sockets are the files of the Unix sockets that the app listens on now; for a probe.
	Sockets []string
}

// OldestSystemd is the first version that the units work with: Debian 11's.
const OldestSystemd = 247

// Render gives the unit files of the app for the target. It is pure, and it fails only with what [App.Validate]
// reports, or for a target that is none.
func Render(a App, t Target) (Set, error) {
	if err := a.Validate(); err != nil {
		return nil, err
	}
	if t.Systemd < OldestSystemd {
		return nil, fmt.Errorf("systemd %d is older than %d, the oldest that clusterctl supports", t.Systemd, OldestSystemd)
	}
	if t.Sizing.Listed < 1 || t.Sizing.Listed > MaxInstances {
		return nil, fieldErrorf("instances", "", "%d is out of range (1-%d)", t.Sizing.Listed, MaxInstances)
	}
	r := renderer{app: a, target: t}
	source, err := plain("source", t.Source)
	if err != nil {
		return nil, err
	}
	r.source = source
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
	return newSet(r.files)
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

// add executes a template; a file that is already there is continued.
func (r *renderer) add(path, name string, view any) {
	if r.err != nil {
		return
	}
	tmpl, err := template.ParseFS(templates.FS, name)
	if err != nil {
		r.err = fmt.Errorf("internal error: %w", err)
		return
	}
	var b bytes.Buffer
	if err := tmpl.Execute(&b, view); err != nil {
		r.err = fmt.Errorf("internal error: %w", err)
		return
	}
	if i := slices.IndexFunc(r.files, func(f File) bool { return f.Path == path }); i >= 0 {
		r.files[i].Data = append(r.files[i].Data, b.Bytes()...)
		return
	}
	r.files = append(r.files, File{Path: path, Data: b.Bytes()})
}

// must collects the error of a quoting function; Validate has made sure that there is none.
func (r *renderer) must(v value, err error) value {
	if err != nil && r.err == nil {
		r.err = err
	}
	return v
}

// header is what every unit begins with.
type header struct {
	App, Unit, Service, Source, SourcePath, Slice value
}

func (r *renderer) header(unit string) header {
	h := header{
		App: fixed(string(r.app.Name)), Unit: fixed(unit), Service: fixed(r.app.Name.Service()),
		Source: "the command line", SourcePath: r.source, Slice: fixed(r.app.Name.Slice()),
	}
	if r.source != "" {
		h.Source = r.source
	}
	return h
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
	Own                 value   // the command that changes the owner, in place of User and Group
	Files               []value // what Own changes, as words of a command
	NoDelay             value
	Options             []value
}

// dualStack is BindIPv6Only= of a socket unit to which l is added: it belongs to a whole unit. A bare port means both
// families; an IPv6 listener beside its IPv4 twin must leave that family alone.
func (r *renderer) dualStack(l Listener, so value) value {
	switch {
	case l.Network == Unix:
		return so
	case l.paired(r.app.Listen):
		return "ipv6-only"
	case !l.Host.IsValid() && so == "":
		return "both"
	}
	return so
}

// socketViews makes one socket unit per FileDescriptorName=, in the order of the listeners; the first name's unit is
// app.socket.
func (r *renderer) socketViews() []socketView {
	var views []socketView
	for _, l := range r.app.Listen {
		unit := r.app.Name.Socket(r.app.Listen[0].FDName(), l.FDName())
		i := slices.IndexFunc(views, func(v socketView) bool { return v.Unit == value(unit) })
		if i < 0 {
			i = len(views)
			backlog := fixed(strconv.Itoa(contract.Backlog))
			views = append(views, socketView{header: r.header(unit), FDName: fixed(l.FDName()), Backlog: backlog})
		}
		v := &views[i]
		addr := r.must(plain("listen", l.Address()))
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
			v.User = r.must(plain("socket-user", access.User))
			v.Group = r.must(plain("socket-group", access.Group))
			if r.app.socketInReach() && v.User+v.Group != "" {
				v.Files = append(v.Files, r.must(word("listen", l.Path)))
			}
		}
	}
	for i := range views {
		views[i].own(r.target.shim())
	}
	return views
}

// own has the shim change the owner of the files, in place of PID 1.
func (v *socketView) own(shim string) {
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
