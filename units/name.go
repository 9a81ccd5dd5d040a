package units

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
)

// Name is the name of an app. The methods of Name return the names of units and files.
type Name string

// MaxName is the maximum length of an app name, in bytes. A unit name may have 255 bytes. In the name of the slice, an app
// name can be four times as long, because each dash becomes \x2d.
const MaxName = 50

// unitSuffixes are the suffixes that have a meaning at the end of a unit name (systemd.unit(5)).
var unitSuffixes = []string{
	".service", ".socket", ".target", ".slice", ".timer", ".path", ".mount", ".automount", ".swap", ".device", ".scope",
}

// ParseName checks an app name. The name may contain letters, digits, "_", "-" and ".", must begin with a letter or a digit,
// and must have at least one letter. So no part of a unit name needs systemd-escape(1), except the dashes in the name of the
// slice.
func ParseName(s string) (Name, error) {
	if s == "" {
		return "", missingField("name")
	}
	if why := checkName(s); why != "" {
		hint := ""
		if near := NearestName(s); near != "" {
			hint = "use " + near
		}
		return "", fieldErrorf("name", hint, "%q %s", s, why)
	}
	return Name(s), nil
}

// checkName returns why a string cannot be an app name, or "" if it can.
func checkName(s string) string {
	switch {
	case s == "":
		return "is empty"
	case len(s) > MaxName:
		return "is longer than " + strconv.Itoa(MaxName) + " bytes"
	case !alnumOr(s[:1], ""):
		return "does not begin with a letter or a digit"
	case s == "all":
		return "is reserved: it means all apps"
	}
	if strings.HasSuffix(s, contract.LockSuffix) {
		return "ends in " + strconv.Quote(contract.LockSuffix) + ", like the lock files of clusterctl"
	}
	if !alnumOr(s, "_-.") {
		return `may contain only letters, digits, "_", "-" and "."`
	}
	if strings.Trim(s, "0123456789_-.") == "" {
		return "has no letter"
	}
	for _, suf := range unitSuffixes {
		if strings.HasSuffix(s, suf) {
			return "ends in " + strconv.Quote(suf) + ", which is a kind of unit"
		}
	}
	return ""
}

// alnumOr reports whether s contains only ASCII letters, digits and the characters in more.
func alnumOr(s, more string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune(more, c)
	})
}

// NearestName returns the valid name that is most similar to s, or "" if there is none.
func NearestName(s string) string {
	t := s
	for _, suf := range unitSuffixes {
		t = strings.TrimSuffix(t, suf)
	}
	t = strings.Trim(strings.Map(func(r rune) rune {
		if alnumOr(string(r), "_-.") {
			return r
		}
		return '-'
	}, t), "-._")
	if len(t) > MaxName {
		t = strings.TrimRight(t[:MaxName], "-._")
	}
	if checkName(t) != "" {
		return ""
	}
	return t
}

// Service returns the name of the unit for the app as a whole. Other comments call this unit the aggregate.
func (n Name) Service() string { return string(n) + ".service" }

// Template returns the name of the template unit of all instances.
func (n Name) Template() string { return string(n) + "@.service" }

// Instance returns the name of the unit of instance i, counted from 1.
func (n Name) Instance(i int) string { return string(n) + "@" + strconv.Itoa(i) + ".service" }

// DropIn returns the path of the file that lists the instances. The file contains nothing else, so scaling rewrites only
// this file.
func (n Name) DropIn() string { return string(n) + ".service.d/50-instances.conf" }

// ReleaseDropIn returns the path of a drop-in of the aggregate, for an app in a package. The drop-in contains the settings
// that differ between versions of the app.
func (n Name) ReleaseDropIn() string { return string(n) + ".service.d/40-release.conf" }

// Slice returns the name of the slice, which has the limits for the app as a whole. A dash in a slice name is a level of the
// hierarchy (systemd.slice(5)), so the dashes of the app name are escaped.
func (n Name) Slice() string {
	return "clusterctl-" + strings.ReplaceAll(string(n), "-", `\x2d`) + ".slice"
}

// Socket returns the name of the socket unit whose listeners have the given FileDescriptorName=. The setting applies to a
// whole socket unit, so each name has its own unit. The parameter firstName is the name of the app's first listener, whose
// unit is app.socket.
func (n Name) Socket(firstName, name string) string {
	if name == firstName {
		return string(n) + ".socket"
	}
	return string(n) + "-" + name + ".socket"
}

// DynamicUser returns the User= that all instances share under DynamicUser=yes. The name follows systemd's strict rules for
// user names (31 bytes). Without the prefix, the name could be the name of an existing user, and systemd would use that
// user.
func (n Name) DynamicUser() string {
	const prefix, maxLength = "cc-", 31
	s := strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		if r == '.' {
			return '_'
		}
		return r
	}, string(n))
	if s == string(n) && len(prefix)+len(s) <= maxLength {
		return prefix + s
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(n))
	tail := fmt.Sprintf("-%08x", h.Sum32())
	return prefix + s[:min(len(s), maxLength-len(prefix)-len(tail))] + tail
}

// ParseInstance splits "app@3" or "app@3.service" into the app and 3. Without "@", the number is 0 and means the app as a
// whole.
func ParseInstance(s string) (Name, int, error) {
	base, num, found := strings.Cut(strings.TrimSuffix(s, ".service"), "@")
	n, err := ParseName(base)
	if err != nil || !found {
		return n, 0, err
	}
	i, err := strconv.Atoi(num)
	if err != nil || i < 1 || i > MaxInstances || strconv.Itoa(i) != num {
		return "", 0, fieldErrorf("name", "use "+base+"@1", "%q does not end in an instance number (1-%d)", s, MaxInstances)
	}
	return n, i, nil
}
