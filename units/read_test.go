package units_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/clusterctl/clusterctl/units"
)

// The type facts contains the values that the functions in read.go return for the units of an app.
type facts struct {
	Sockets  map[string]units.SocketUnit
	Instance units.InstanceUnit
	Listed   int
	Secrets  []units.Secret
	Env      []units.EnvVar
	Kinds    map[string]units.Kind
	Owners   map[string]units.Name
	Edited   map[string]bool
}

func readFacts(t *rapid.T, set units.Set) facts {
	f := facts{Sockets: map[string]units.SocketUnit{}, Kinds: map[string]units.Kind{}, Owners: map[string]units.Name{},
		Edited: map[string]bool{}}
	for _, file := range set {
		f.Kinds[file.Path], f.Owners[file.Path] = units.KindOf("/etc/systemd/system/"+file.Path), units.Owner(file)
		switch f.Kinds[file.Path] {
		case units.KindSocket:
			s := units.ReadSocket(file.Data)
			if words := strings.Fields(s.Own); len(words) > 2 {
				s.Own = words[0] + " " + words[1] // other tests check the paths
			}
			f.Sockets[file.Path] = s
		case units.KindTemplate:
			f.Instance = units.ReadInstance(file.Data)
		case units.KindList:
			f.Listed = units.ListedInstances(file.Data)
		case units.KindSecrets:
			f.Secrets = units.LoadedSecrets(file.Data)
		case units.KindValues:
			var err error
			if f.Env, err = units.ParseValues(file.Data); err != nil {
				t.Fatal(err)
			}
			continue // a values file has no checksum
		}
		f.Edited[file.Path] = units.Edited(file.Data)
	}
	return f
}

// factsOf returns the facts that the units for the app and the target must contain.
func factsOf(a units.App, target units.Target) facts {
	f := facts{Kinds: map[string]units.Kind{
		a.Name.Service(): units.KindUnit, a.Name.Slice(): units.KindUnit, a.Name.Template(): units.KindTemplate,
		a.Name.DropIn(): units.KindList,
	}, Sockets: socketsOf(a), Listed: target.Sizing.Listed, Secrets: target.Secrets, Owners: map[string]units.Name{},
		Edited: map[string]bool{}}
	if target.SplitAggregate && len(a.Listen) > 0 {
		f.Kinds[a.Name.ReleaseDropIn()] = units.KindUnit
	}
	for path := range f.Sockets {
		f.Kinds[path] = units.KindSocket
	}
	if len(target.Secrets) > 0 {
		f.Kinds[a.Name.SecretsDropIn()] = units.KindSecrets
	}
	if a.Logs.Namespace {
		f.Kinds[a.Name.JournalConf()], f.Instance.LogNamespace = units.KindJournal, a.Name.LogNamespace()
	}
	if target.Values != "" && len(a.Env) > 0 {
		f.Kinds[a.Name.ValuesFile()], f.Env = units.KindValues, a.Env
		f.Instance.EnvFiles = []units.EnvFile{{Path: target.Values}}
	}
	for _, file := range a.EnvFiles {
		if !file.ByWorker {
			f.Instance.EnvFiles = append(f.Instance.EnvFiles, file)
		}
	}
	f.Instance.Follow = target.Sizing.Follow
	for path, kind := range f.Kinds {
		f.Owners[path] = a.Name
		if kind != units.KindValues {
			f.Edited[path] = false
		}
	}
	return f
}

func socketsOf(a units.App) map[string]units.SocketUnit {
	sockets := map[string]units.SocketUnit{}
	for _, datagrams := range []bool{false, true} {
		for _, l := range a.Listen {
			if datagrams != (l.Network == units.UDP) {
				continue
			}
			path := a.Name.Socket(a.Listen[0].FDName(), l.FDName())
			s := sockets[path]
			s.FDName = l.FDName()
			s.IPv6Only = s.IPv6Only || slices.ContainsFunc(a.Listen, func(m units.Listener) bool { return twins(l, m) })
			if l.Network == units.Unix && strings.HasPrefix(l.Path, "/") {
				s.Access = a.SocketAccess()
				// If a worker may be able to replace the socket, the shim changes the owner.
				reach := slices.ContainsFunc(a.SocketFiles(), func(p string) bool { return !strings.HasPrefix(p, "/run/") })
				if reach && s.Access.User+s.Access.Group != "" {
					s.Access.User, s.Access.Group, s.Own = "", "", "-:"+units.DefaultShim+" own"
				}
			}
			l.Name, l.Bind = "", 0
			s.Listeners = append(s.Listeners, l)
			sockets[path] = s
		}
	}
	return sockets
}

func twins(l, m units.Listener) bool {
	return l.Network == m.Network && l.Port == m.Port && l.Host.IsUnspecified() && m.Host.IsUnspecified() && l.Host.Is4() != m.Host.Is4()
}

// TestReadRendered: the functions in read.go return the values from which Render made the units.
func TestReadRendered(t *testing.T) {
	read := 0
	rapid.Check(t, func(t *rapid.T) {
		a := anyApp.Draw(t, "app")
		a.Socket = rapid.SampledFrom([]units.SocketAccess{{}, {Mode: 0o600}, {User: "www-data", Group: "1000"},
			{Group: "ü", Mode: 0o666}}).Draw(t, "socket")
		for _, p := range rapid.SliceOfN(rapid.Map(hostilePath, tamePath), 0, 2).Draw(t, "worker files") {
			a.EnvFiles = append(a.EnvFiles, units.EnvFile{Path: p, ByWorker: true})
		}
		if len(a.SocketFiles()) == 0 {
			a.Socket = units.SocketAccess{}
		}
		// factsOf assumes that the workers may not write to directories in /run.
		a.Writable, a.Directory = nil, ""
		target := anyTarget(t, a)
		target.SplitAggregate = rapid.Bool().Draw(t, "split")
		set, err := units.Render(a, target)
		if err != nil {
			return // TestRenderProperties checks the errors
		}
		read++
		if d := cmp.Diff(factsOf(a, target), readFacts(t, set), cmpopts.EquateEmpty(),
			cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
			t.Fatalf("wrong values from the units (-want +got):\n%s\n%s", d, fmt.Sprint(set))
		}
	})
	if read < 20 {
		t.Errorf("%d random apps were valid, want at least 20", read)
	}
}

// TestReadSocketEdited: ReadSocket parses units that Render did not write.
func TestReadSocketEdited(t *testing.T) {
	for name, c := range map[string]struct {
		unit string
		want units.SocketUnit
	}{
		"nothing":    {"", units.SocketUnit{}},
		"blanks":     {"  FileDescriptorName=a\nSocketMode=0666\n", units.SocketUnit{FDName: "a", Access: units.SocketAccess{Mode: 0o666}}},
		"a comment":  {"# SocketMode=0600\n#SocketUser=x\n", units.SocketUnit{}},
		"a bad mode": {"SocketMode=rw\n", units.SocketUnit{}},
		"other kinds": {
			"ListenStream=vsock:2:80\nListenStream=/run/%t.sock\nListenDatagram=/run/x\n",
			units.SocketUnit{Listeners: []units.Listener{{Network: units.Unix, Path: "/run/%t.sock"}},
				Unknown: []string{"vsock:2:80", "/run/x"}},
		},
		"a command": {"ExecStartPost=/bin/chown x /run/x.sock\n", units.SocketUnit{Own: "/bin/chown x /run/x.sock"}},
	} {
		got := units.ReadSocket([]byte(c.unit))
		if d := cmp.Diff(c.want, got, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

// TestKindOfSource: KindOf returns the kind of the source, which Render does not write.
func TestKindOfSource(t *testing.T) {
	if k := units.KindOf("/etc/clusterctl/shop.yaml"); k != units.KindSource {
		t.Errorf("got the kind %v, want %v", k, units.KindSource)
	}
}

// TestKindOfJournald: the file of journald has another kind than the template of an app with the name journald.
func TestKindOfJournald(t *testing.T) {
	for _, n := range []units.Name{"journald", "shop"} {
		if k := units.KindOf(n.Template()); k != units.KindTemplate {
			t.Errorf("%s: got the kind %v, want %v", n.Template(), k, units.KindTemplate)
		}
		if k := units.KindOf("/etc/systemd/" + n.JournalConf()); k != units.KindJournal {
			t.Errorf("%s: got the kind %v, want %v", n.JournalConf(), k, units.KindJournal)
		}
	}
}

// TestSharesPort: SharesPort compares the protocol and the port, or the path.
func TestSharesPort(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"80", "127.0.0.1:80", true},
		{"80", "admin=80:3000", true},
		{"80", "81", false},
		{"80", "udp:80", false},
		{"udp:80", "udp:[::1]:80", true},
		{"/run/a.sock", "b=/run/a.sock", true},
		{"/run/a.sock", "/run/b.sock", false},
		{"@a", "@b", false},
	} {
		a, errA := units.ParseListener(c.a)
		b, errB := units.ParseListener(c.b)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if a.SharesPort(b) != c.want || b.SharesPort(a) != c.want {
			t.Errorf("%s and %s: got %v, want %v", a, b, !c.want, c.want)
		}
	}
}

// TestWithConditions: WithConditions adds or removes the conditions for the number of CPUs, and changes nothing else.
func TestWithConditions(t *testing.T) {
	render := func(follow bool, env ...units.EnvVar) []byte {
		a := units.App{Name: "shop", Command: []string{"/srv/shop"}, Listen: nil, Env: env}
		set, err := units.Render(a, units.Target{Systemd: 252, Sizing: units.Sizing{Want: 2, Listed: 2, Follow: follow},
			Source: "/etc/clusterctl/shop.yaml", Values: "/etc/clusterctl/shop.env", Shim: "/usr/lib/clusterctl/clusterctl-shim"})
		if err != nil {
			t.Fatal(err)
		}
		data, _ := set.Get(a.Name.Template())
		return data
	}
	fixed, follows := render(false), render(true)
	other, otherFollows := render(false, units.EnvVar{Name: "A", Value: "1"}), render(true, units.EnvVar{Name: "A", Value: "1"})
	edited := []byte(strings.Replace(string(fixed), "[Service]\n", "[Service]\nNice=5\n", 1))
	for _, c := range []struct{ template, from, want []byte }{
		{fixed, other, fixed}, {follows, otherFollows, follows}, {fixed, otherFollows, follows}, {follows, other, fixed},
		{edited, other, edited},
	} {
		if got := units.WithConditions(c.template, c.from); string(got) != string(c.want) {
			t.Errorf("got the template\n%s\nwant\n%s", got, c.want)
		}
	}
	got := units.WithConditions(edited, otherFollows)
	if !units.Edited(got) || !strings.Contains(string(got), "ConditionCPUs=") || !strings.Contains(string(got), "Nice=5\n") {
		t.Errorf("got\n%s\nwant the edited template with ConditionCPUs= and a wrong checksum", got)
	}
}
