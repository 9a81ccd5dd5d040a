package guard

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/internal/trust"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
)

// A value of the type right is a key that can give the workers of an app more rights.
type right struct {
	key string
	// The function more returns the rights that app b has and app a does not have, in words such as "web -> root".
	more func(a, b units.App) []string
}

// The function rights returns all keys that can give more rights. A new key must be added here if it can weaken the sandbox.
func rights() []right {
	return []right{
		{"run-as", moreRunAs},
		{"sandbox", moreSandbox},
		{"own-ptrace", moreOwnPtrace},
		{"writable", func(a, b units.App) []string { return morePaths(a.Writable, b.Writable) }},
		{"read", func(a, b units.App) []string { return outsideHome(b.RunAs, morePaths(a.Reads, b.Reads)) }},
		{"allow", func(a, b units.App) []string { return moreWords(allowances(a), allowances(b)) }},
		{"env-files", func(a, b units.App) []string { return moreWords(rootEnvFiles(a), rootEnvFiles(b)) }},
		{"listen", moreListeners},
		{"socket-options", func(a, b units.App) []string { return moreWords(trustedOptions(a), trustedOptions(b)) }},
		{"log-rate", moreLines},
		{"trust", func(a, b units.App) []string { return moreWords(a.Trust, b.Trust) }},
	}
}

// MoreRights returns the rights that app b has and app a does not have, such as "run-as: web -> root".
func MoreRights(a, b units.App) []string {
	var list []string
	for _, r := range rights() {
		if more := r.more(a, b); len(more) > 0 {
			list = append(list, r.key+": "+strings.Join(more, ", "))
		}
	}
	return list
}

// moreRunAs returns the change of the user, because another user has other rights. moreRunAs returns nil for a change from
// root and for a change to a dynamic user.
func moreRunAs(a, b units.App) []string {
	old, err := Identify(a.RunAs)
	if a.RunAs == b.RunAs || b.RunAs.Dynamic() || err == nil && old.UID == 0 {
		return nil
	}
	return []string{a.RunAs.String() + " -> " + b.RunAs.String()}
}

func moreSandbox(a, b units.App) []string {
	strongestFirst := []units.Sandbox{units.SandboxStrict, units.SandboxDefault, units.SandboxOff}
	if slices.Index(strongestFirst, b.Sandbox) <= slices.Index(strongestFirst, a.Sandbox) {
		return nil
	}
	return []string{a.Sandbox.String() + " -> " + b.Sandbox.String()}
}

func moreOwnPtrace(a, b units.App) []string {
	if a.Shim.OwnPtrace || !b.Shim.OwnPtrace {
		return nil
	}
	return []string{"false -> true"}
}

// morePaths returns the paths of list b, except the paths of list a and the paths below them.
func morePaths(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(b), func(p string) bool {
		return slices.ContainsFunc(a, func(tree string) bool {
			return path.Clean(p) == path.Clean(tree) || Inside(path.Clean(p), path.Clean(tree))
		})
	})
}

// outsideHome returns the paths that are outside the home directory of the workers' user. An update may add paths inside
// this directory without asking, because the user may read them anyway. A path is inside if both the path and the target of
// its links are below the home directory.
func outsideHome(r units.RunAs, paths []string) []string {
	if r.Dynamic() {
		return paths
	}
	u, err := LookupUser(r.User)
	if err != nil || !InHome(path.Clean(u.HomeDir)) || path.Clean(u.HomeDir) == "/home" || path.Clean(u.HomeDir) == "/run/user" {
		return paths
	}
	home, _ := Follow(u.HomeDir)
	return slices.DeleteFunc(paths, func(p string) bool {
		end, _ := Follow(p)
		return Inside(path.Clean(p), path.Clean(u.HomeDir)) && Inside(end, home)
	})
}

func moreWords(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(b), func(s string) bool { return slices.Contains(a, s) })
}

func allowances(a units.App) []string {
	var list []string
	for _, w := range a.Allow {
		list = append(list, string(w))
	}
	return list
}

// trustedOptions returns the socket options that only a privileged process such as PID 1 may set.
func trustedOptions(a units.App) []string {
	var list []string
	for _, o := range a.SocketOptions {
		if o.Trusted() {
			list = append(list, o.String())
		}
	}
	return list
}

// rootEnvFiles returns the environment files that PID 1 reads as root.
func rootEnvFiles(a units.App) []string {
	var list []string
	for _, f := range a.EnvFiles {
		if !f.ByWorker {
			list = append(list, f.Path)
		}
	}
	return list
}

// firstOrdinaryPort is the first port that every user may bind (net.ipv4.ip_unprivileged_port_start).
const firstOrdinaryPort = 1024

// moreListeners returns the new listeners of app b for which the user must be asked: Unix sockets outside of /run and of the
// app's directory, ports that only root may bind, and ports that app a opens only on the loopback interface.
func moreListeners(a, b units.App) []string {
	list := moreWords(unixSockets(a), unixSockets(b))
	for _, l := range b.Listen {
		if l.Network == units.Unix {
			continue
		}
		old := slices.DeleteFunc(slices.Clone(a.Listen), func(m units.Listener) bool { return m.Network != l.Network || m.Port != l.Port })
		isPublic := func(m units.Listener) bool { return !m.Host.IsLoopback() }
		switch {
		case len(old) == 0 && l.Port < firstOrdinaryPort:
			list = append(list, portAddress(l))
		case len(old) > 0 && isPublic(l) && !slices.ContainsFunc(old, isPublic):
			list = append(list, portAddress(old[len(old)-1])+" -> "+portAddress(l))
		}
	}
	return list
}

// portAddress returns the network, the address and the port of a listener.
func portAddress(l units.Listener) string {
	return units.Listener{Network: l.Network, Host: l.Host, Port: l.Port}.String()
}

// unixSockets returns the Unix sockets that PID 1 creates outside of the app's directory and of /run.
func unixSockets(a units.App) []string {
	var list []string
	for _, l := range a.Listen {
		dir := path.Dir(l.Path)
		ours := dir == path.Clean(a.Directory) || dir == "/run" || strings.HasPrefix(dir, "/run/")
		if l.Network == units.Unix && path.IsAbs(l.Path) && !ours {
			list = append(list, l.Path)
		}
	}
	return list
}

// moreLines returns "off" if app b may write to the journal of the machine without a rate limit, and app a may not. A
// private journal needs no rate limit, because its size is limited.
func moreLines(a, b units.App) []string {
	if b.Logs.Namespace || !b.LogRate().Off || a.LogRate().Off && !a.Logs.Namespace {
		return nil
	}
	return []string{"off"}
}

// untrustedError is the error for a description that users other than root and the caller may change, and that contains
// rights which these users must not give.
type untrustedError struct {
	app    units.Name
	file   string
	rights []string
	writer Writer
}

func (e *untrustedError) Error() string {
	return fmt.Sprintf("%q must not change %s (%s): %s", e.file, e.app, strings.Join(e.rights, "; "), e.writer)
}

// Hint returns commands that copy the description to /etc. A new owner for the original file or directory could break the
// app, because the user of the app may have to own them.
func (e *untrustedError) Hint() string {
	return fmt.Sprintf("sudo install -m 644 %s /etc/%s.yaml && sudo clusterctl apply -f /etc/%[2]s.yaml", text.Shell(e.file), e.app)
}

// Unwrap returns [fs.ErrPermission], which determines the exit status.
func (e *untrustedError) Unwrap() error { return fs.ErrPermission }

// MayDecide returns an error if users other than root and the caller may change the file of a description, and app a in the
// description has rights that these users must not give. The parameter old is the installed app, or nil. If it is nil, the
// new app a must not have more rights than these users. Otherwise the new app must not have more rights than the installed
// app. If the installed app runs as root or as a user who may not change the file, both apps must be equal.
func (g Guard) MayDecide(file string, old *units.App, a units.App) error {
	runs := a
	if old != nil {
		runs = *old
	}
	c, err := g.newCheck(runs)
	if err != nil {
		return err
	}
	writers, err := c.checker.Writers(file, trust.Contents, g.Caller)
	if err != nil {
		return fmt.Errorf("checking who may change %q: %w", file, fault.Cause(err))
	}
	if len(writers) == 0 {
		return nil
	}
	others, err := c.checker.Writers(file, trust.Contents, g.Caller, c.who.UID)
	if err != nil {
		return fmt.Errorf("checking who may change %q: %w", file, fault.Cause(err))
	}
	ownUser := len(others) == 0 && !c.root()
	var more []string
	if old == nil {
		more = MoreRights(leastRights(a, ownUser), a)
	} else {
		more = MoreRights(*old, a)
		if len(more) == 0 && !ownUser {
			more = config.Changed(*old, a)
		}
	}
	if len(more) > 0 {
		return &untrustedError{app: a.Name, file: file, rights: more, writer: c.withNames(writers)[0]}
	}
	return nil
}

// leastRights returns an app with the rights that a new app may have if other users may change its description. The app runs
// as a dynamic user or, if ownUser is true, as the user who may change the description.
func leastRights(a units.App, ownUser bool) units.App {
	least := units.App{Name: a.Name}
	if ownUser {
		least.RunAs = units.RunAs{User: a.RunAs.User}
		if inGroup(a.RunAs) {
			least.RunAs.Group = a.RunAs.Group
		}
	}
	if a.Directory != "" && path.Clean(a.Directory) != "/" {
		least.Writable = []string{a.Directory}
	}
	return least
}

// inGroup reports whether the user is a member of the group according to the accounts of the machine.
func inGroup(r units.RunAs) bool {
	if r.Group == "" {
		return true
	}
	g, err := LookupGroup(r.Group)
	if err != nil {
		return false
	}
	gid, err := strconv.Atoi(g.Gid)
	id, userErr := Identify(units.RunAs{User: r.User})
	return err == nil && userErr == nil && slices.Contains(id.GIDs, gid)
}
