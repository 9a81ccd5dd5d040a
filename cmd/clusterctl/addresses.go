package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
)

// listensOnPathOf reports whether the program listens on a Unix socket of the app.
func (r probeReport) listensOnPathOf(a units.App) bool {
	for _, b := range r.Binds {
		if b.Listening && b.Family == "unix" && slices.ContainsFunc(a.Listen, func(l units.Listener) bool { return l.Bind == 0 && l.Path == b.Address }) {
			return true
		}
	}
	return false
}

// sockets are the Unix sockets that instances can share. They count where the program binds no port: beside one, they are
// between the processes of the program.
func (r probeReport) sockets() []units.Listener {
	var list []units.Listener
	for _, b := range r.Binds {
		l := units.Listener{Network: units.Unix, Path: b.Address}
		if b.Family == "unix" && b.Listening && !b.Private && filepath.IsAbs(b.Address) && !slices.Contains(list, l) {
			list = append(list, l)
		}
	}
	return list
}

// ownSockets describes the Unix sockets that each instance has for itself, in words.
func (r probeReport) ownSockets() []string {
	var list []string
	for _, b := range r.Binds {
		if b.Family == "unix" && b.Listening && (b.Private || !filepath.IsAbs(b.Address)) {
			list = append(list, "socket "+text.Printable(b.Address)+", which each instance has for itself")
		}
	}
	return list
}

// makeSocketDirs makes the directories in /run that PID 1 will make for the sockets, since the program may look for them in
// the probe. The function that it returns removes them again.
func makeSocketDirs(paths []string) (remove func(), err error) {
	var made []string
	remove = func() {
		for _, dir := range slices.Backward(made) {
			_ = os.Remove(dir) // not if somebody uses it by now
		}
	}
	for _, path := range paths {
		var missing []string
		for dir := filepath.Dir(path); strings.HasPrefix(dir, "/run/"); dir = filepath.Dir(dir) {
			missing = append(missing, dir)
		}
		for _, dir := range slices.Backward(missing) {
			err := os.Mkdir(dir, 0o755)
			if err == nil {
				made = append(made, dir)
				err = os.Chmod(dir, 0o755) // whatever our umask is
			}
			if err != nil && !errors.Is(err, fs.ErrExist) {
				remove()
				return nil, fmt.Errorf("making the directory of %s for the probe: %w", path, fault.Cause(err))
			}
		}
	}
	return remove, nil
}

// wrongPath: the program binds Unix sockets, and not the one of --listen.
func wrongPath(l units.Listener, found []units.Listener) error {
	for _, f := range found {
		if f.Network != units.Unix || samePlace(f.Path, l.Path) {
			return nil
		}
	}
	return fault.WithHint(fmt.Errorf("the program does not bind %s; it binds %s", describeListener(l), describeAll(found)),
		"--listen %s, or tell the program its path", found[0])
}

// samePlace compares paths, with the links in their directories followed.
func samePlace(a, b string) bool {
	real := func(path string) string {
		if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
			return filepath.Join(dir, filepath.Base(path))
		}
		return filepath.Clean(path)
	}
	return a == b || real(a) == real(b)
}

// mapped proposes the public listener in front of the port that the program really binds.
func mapped(l, found units.Listener) units.Listener {
	l.Bind = found.Port
	if l.Bind == l.Port {
		l.Bind = 0
	}
	return l
}

func describeAll(list []units.Listener) string {
	var words []string
	for _, l := range list {
		words = append(words, describeListener(l))
	}
	return strings.Join(words, " and ")
}

// everywhere says whether the program asked for all addresses, of one family at least.
func everywhere(l units.Listener) bool { return !l.Host.IsValid() || l.Host.IsUnspecified() }

// byAddress narrows a bare port to the addresses that the program binds.
func (e *env) byAddress(l units.Listener, binds []units.Listener) []units.Listener {
	var list []units.Listener
	for _, b := range binds {
		narrow := l
		narrow.Host = b.Host
		list = append(list, narrow)
	}
	wide := l
	wide.Host = netip.IPv4Unspecified()
	if !binds[0].Host.Is4() {
		wide.Host = netip.IPv6Unspecified()
	}
	e.note("probe: the program binds only %s, so nothing else is opened; to open it to other machines: --listen %s", describeAll(binds), wide)
	return list
}
