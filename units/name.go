package units

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
)

// Name is the name of an app. Every unit name and file name is made from it here and nowhere else.
type Name string

// MaxName is the longest app name, in bytes. A unit name ends at 255 with its suffix, and the slice's form may be four
// times as long (each dash becomes \x2d).
const MaxName = 50

// unitSuffixes are what systemd.unit(5) gives a meaning to at the end of a name.
var unitSuffixes = []string{
	".service", ".socket", ".target", ".slice", ".timer", ".path", ".mount", ".automount", ".swap", ".device", ".scope",
}

// ParseName accepts letters, digits, "_", "-" and ".", beginning with a letter or a digit and with at least one
// letter. So no part of a unit name ever needs systemd-escape(1), but for the dashes in a slice.
func ParseName(s string) (Name, error) {
	if s == "" {
		return "", missing("name")
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

// checkName says what keeps a string from being a name, or "".
func checkName(s string) string {
	switch {
	case s == "":
		return "is empty"
	case len(s) > MaxName:
		return "is longer than " + strconv.Itoa(MaxName) + " bytes"
	case !isAlnum(s[0]):
		return "does not begin with a letter or a digit"
	case s == "all":
		return "stands for every app"
	}
	if strings.HasSuffix(s, contract.LockSuffix) {
		return "ends in " + strconv.Quote(contract.LockSuffix) + ", as the locks of clusterctl do"
	}
	letter := false
	for i := range len(s) {
		c := s[i]
		letter = letter || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !isAlnum(c) && c != '_' && c != '-' && c != '.' {
			return `may contain only letters, digits, "_", "-" and "."`
		}
	}
	if !letter {
		return "has no letter"
	}
	for _, suf := range unitSuffixes {
		if strings.HasSuffix(s, suf) {
			return "ends in " + strconv.Quote(suf) + ", which is a kind of unit"
		}
	}
	return ""
}

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// NearestName returns the allowed name that is most like s, or "" if there is none.
func NearestName(s string) string {
	t := s
	for _, suf := range unitSuffixes {
		t = strings.TrimSuffix(t, suf)
	}
	t = strings.Trim(strings.Map(func(r rune) rune {
		if r < 128 && (isAlnum(byte(r)) || r == '_' || r == '-' || r == '.') {
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

// Service is the aggregate, the app as a whole.
func (n Name) Service() string { return string(n) + ".service" }

// Template is the unit that all instances are made from.
func (n Name) Template() string { return string(n) + "@.service" }

// Instance is the unit of instance i, counted from 1.
func (n Name) Instance(i int) string { return string(n) + "@" + strconv.Itoa(i) + ".service" }

// DropIn is the file with the instance list, and nothing else, so that scaling rewrites only it.
func (n Name) DropIn() string { return string(n) + ".service.d/50-instances.conf" }

// ReleaseDropIn is the part of the aggregate that differs from one version of the app to the next, in a package.
func (n Name) ReleaseDropIn() string { return string(n) + ".service.d/40-release.conf" }

// Slice holds the limits of the app as a whole. A dash in a slice name is a level of the hierarchy
// (systemd.slice(5)), so those of the app are escaped.
func (n Name) Slice() string {
	return "clusterctl-" + strings.ReplaceAll(string(n), "-", `\x2d`) + ".slice"
}

// Socket is the unit of the listeners that share one FileDescriptorName=. That setting belongs to a whole socket unit,
// so listeners of another name need a unit of their own; the first name's is app.socket.
func (n Name) Socket(first, name string) string {
	if name == first {
		return string(n) + ".socket"
	}
	return string(n) + "-" + name + ".socket"
}

// DynamicUser is the User= that all instances share under DynamicUser=yes, valid by systemd's strict rules (31 bytes).
// The prefix keeps it apart from real users: a user of that name that exists would be taken as it is.
func (n Name) DynamicUser() string {
	const prefix, most = "cc-", 31
	s := strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		if r == '.' {
			return '_'
		}
		return r
	}, string(n))
	if s == string(n) && len(prefix)+len(s) <= most {
		return prefix + s
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(n))
	tail := fmt.Sprintf("-%08x", h.Sum32())
	return prefix + s[:min(len(s), most-len(prefix)-len(tail))] + tail
}

// ParseInstance splits "app@3", "app@3.service" into the app and 3; without "@" the number is 0, the app as a whole.
func ParseInstance(s string) (Name, int, error) {
	base, num, found := strings.Cut(strings.TrimSuffix(s, ".service"), "@")
	n, err := ParseName(base)
	if err != nil || !found {
		return n, 0, err
	}
	i, err := strconv.Atoi(num)
	if err != nil || i < 1 || i > MaxInstances || strconv.Itoa(i) != num {
		return "", 0, fieldErrorf("name", "use "+base+"@1", "%q: %q is not an instance number (1-%d)", s, num, MaxInstances)
	}
	return n, i, nil
}
