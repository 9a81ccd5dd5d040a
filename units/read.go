package units

import (
	"bytes"
	"iter"
	"net/netip"
	"slices"
	"strings"
)

// This file parses the files that Render wrote. The files may be from an older clusterctl, or edited by hand. If a file does
// not have a setting, the field of the result has its zero value.

// SocketUnit is the parsed content of a socket unit.
type SocketUnit struct {
	// FDName is the name of the listeners.
	FDName string
	// Listeners contains the addresses in the order of the lines. The fields Name and Bind of the listeners are empty.
	Listeners []Listener
	// The field Unknown contains the addresses in a form that Render does not write.
	Unknown []string
	// IPv6Only means that the IPv6 addresses do not accept IPv4 connections.
	IPv6Only bool
	// Access is the owner and the mode of socket files, without defaults.
	Access SocketAccess
	// The field Own contains the command that changes the owner of the socket files (ExecStartPost=), or empty. If Own is
	// set, Access has no user and no group.
	Own string
}

// ReadSocket parses a socket unit. If a key with a single value occurs several times, the last value counts.
func ReadSocket(unit []byte) SocketUnit {
	var s SocketUnit
	for key, v := range assignments(unit) {
		switch key {
		case "ListenStream", "ListenDatagram":
			if l, ok := readListener(v, key == "ListenDatagram"); ok {
				s.Listeners = append(s.Listeners, l)
			} else {
				s.Unknown = append(s.Unknown, v)
			}
		case "FileDescriptorName":
			s.FDName = v
		case "BindIPv6Only":
			s.IPv6Only = v == "ipv6-only"
		case "SocketMode":
			s.Access.Mode, _ = ParseSocketMode(v)
		case "SocketUser":
			s.Access.User = v
		case "SocketGroup":
			s.Access.Group = v
		case "ExecStartPost":
			s.Own = v
		}
	}
	return s
}

// readListener parses an address of ListenStream= or ListenDatagram=.
func readListener(address string, datagram bool) (l Listener, ok bool) {
	if datagram {
		l.Network = UDP
	}
	if port, ok := parsePort(address); ok {
		l.Port = port
		return l, true
	}
	if at, err := netip.ParseAddrPort(address); err == nil {
		l.Host, l.Port = at.Addr(), at.Port()
		return l, true
	}
	if !datagram && (strings.HasPrefix(address, "/") || strings.HasPrefix(address, "@")) {
		return Listener{Network: Unix, Path: address}, true
	}
	return l, false
}

// SameAddresses reports whether two socket units bind the same addresses.
func (s SocketUnit) SameAddresses(t SocketUnit) bool {
	return slices.Equal(s.Listeners, t.Listeners) && slices.Equal(s.Unknown, t.Unknown) && s.IPv6Only == t.IPv6Only
}

// Addresses returns the addresses of the unit as text for the user.
func (s SocketUnit) Addresses() string {
	var words []string
	for _, l := range s.Listeners {
		words = append(words, l.String())
	}
	words = append(words, s.Unknown...)
	if s.IPv6Only {
		words = append(words, "(IPv6 only)")
	}
	return strings.Join(words, " ")
}

// InstanceUnit is the parsed content of the template of the instances.
type InstanceUnit struct {
	// LogNamespace is the private journal of the app, or empty.
	LogNamespace string
	// EnvFiles contains the environment files that PID 1 reads: the values file, then the user's files.
	EnvFiles []EnvFile
	// The field Follow means that systemd skips instances above the number of CPUs.
	Follow bool
}

// ReadInstance parses the template of the instances.
func ReadInstance(template []byte) InstanceUnit {
	var i InstanceUnit
	for key, v := range assignments(template) {
		switch key {
		case "LogNamespace":
			i.LogNamespace = v
		case "EnvironmentFile":
			pattern, optional := strings.CutPrefix(v, "-")
			i.EnvFiles = append(i.EnvFiles, EnvFile{Path: unescapeGlob(pattern), Optional: optional})
		case "ConditionCPUs":
			i.Follow = true
		}
	}
	return i
}

// ListedInstances returns the number of instances in the drop-in [Name.DropIn], or 0 if the file has no list.
func ListedInstances(dropIn []byte) int {
	for key, v := range assignments(dropIn) {
		if list, ok := strings.CutPrefix(v, `"CLUSTERCTL_INSTANCES=`); ok && key == "Environment" {
			return len(strings.Fields(strings.TrimSuffix(list, `"`)))
		}
	}
	return 0
}

// LoadedSecrets returns the secrets of the drop-in [Name.SecretsDropIn], sorted by name.
func LoadedSecrets(dropIn []byte) []Secret {
	var all []Secret
	for key, v := range assignments(dropIn) {
		encrypted := key == "LoadCredentialEncrypted"
		if name, path, ok := strings.Cut(v, ":"); ok && (encrypted || key == "LoadCredential") {
			all = append(all, Secret{Name: name, Path: path, Encrypted: encrypted})
		}
	}
	slices.SortFunc(all, func(a, b Secret) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Owner returns the app that a generated file belongs to, or "" if the file has no mark of clusterctl.
func Owner(f File) Name {
	if !bytes.HasPrefix(f.Data, []byte(dropInMark)) {
		return ""
	}
	if dir, _, ok := strings.Cut(f.Path, ".service.d/"); ok {
		return Name(strings.TrimSuffix(dir, "@"))
	}
	if name, ok := strings.CutSuffix(f.Path, ".env"); ok {
		return Name(name)
	}
	for key, v := range assignments(f.Data) {
		if key == markKey {
			return Name(v)
		}
	}
	return ""
}

// The function Edited reports whether a file has changed since Render wrote it, for example by a line that was appended.
func Edited(data []byte) bool {
	at := bytes.LastIndex(data, []byte(sealPrefix))
	return at < 0 || string(data[at:]) != sealPrefix+checksum(data[:at])+"\n"
}

// The function assignments returns the keys and values of a unit, with "%" for "%%". It ignores comments and sections.
func assignments(unit []byte) iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		for line := range strings.Lines(string(unit)) {
			key, v, ok := strings.Cut(strings.TrimSpace(line), "=")
			if ok && !strings.HasPrefix(key, "#") && !yield(key, strings.ReplaceAll(v, "%%", "%")) {
				return
			}
		}
	}
}

// WithConditions returns a template with the ConditionCPUs= lines of another template, which may have none. Other lines are
// unchanged, except the checksum of a template without manual edits.
func WithConditions(template, from []byte) []byte {
	if ReadInstance(template).Follow == ReadInstance(from).Follow {
		return template
	}
	lines, other := slices.Collect(strings.Lines(string(template))), slices.Collect(strings.Lines(string(from)))
	at, end := conditions(lines)
	otherAt, otherEnd := conditions(other)
	changed := []byte(strings.Join(slices.Replace(lines, at, end, other[otherAt:otherEnd]...), ""))
	if Edited(template) {
		return changed
	}
	return seal(Unseal(changed))
}

// The function conditions returns the range of lines with the conditions of a template and the comment above them. If the
// template has none, it returns an empty range at the end of the section [Unit].
func conditions(lines []string) (at, end int) {
	hasPrefix := func(i int, prefix string) bool {
		return i >= 0 && i < len(lines) && strings.HasPrefix(lines[i], prefix)
	}
	at = slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "ConditionCPUs=") })
	if at < 0 {
		at = max(0, slices.Index(lines, "[Service]\n"))
		for at > 0 && strings.TrimSpace(lines[at-1]) == "" {
			at--
		}
		return at, at
	}
	for end = at + 1; hasPrefix(end, "ConditionPathExists=|"); end++ {
	}
	for hasPrefix(at-1, "#") {
		at--
	}
	return at, end
}
