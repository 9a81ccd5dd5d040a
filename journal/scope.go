package journal

import (
	"slices"
	"strconv"
	"strings"
)

// Scope is an app, or one of its instances, whose lines are wanted.
type Scope struct {
	App string
	// Instance is one of its instances; 0 is the whole app.
	Instance int
	// Instances is how many it has. More may appear while its lines are followed.
	Instances int
	// Slice is the unit in which its processes are, and Units are its units beside the instances: app.service, sockets.
	Slice string
	Units []string
	// UID is the user of its workers as a number, or "" where that is not known.
	UID string
	// Namespace is its own journal (LogNamespace=), or "" for that of the machine.
	Namespace string
}

// unit is the name of an instance.
func (s Scope) unit(i int) string { return s.App + "@" + strconv.Itoa(i) + ".service" }

// find says whether a unit belongs to the scope, and which instance it is, 0 for another unit of the app.
func (s Scope) find(unit string) (instance int, ok bool) {
	if rest, is := strings.CutPrefix(unit, s.App+"@"); is {
		rest, is = strings.CutSuffix(rest, ".service")
		i, err := strconv.Atoi(rest)
		if !is || err != nil || i < 1 {
			return 0, false
		}
		return i, s.Instance == 0 || s.Instance == i
	}
	return 0, s.Instance == 0 && slices.Contains(s.Units, unit)
}

// Fields that the units of an app add to its messages (LogExtraFields=).
const (
	appField      = "CLUSTERCTL_APP"
	instanceField = "CLUSTERCTL_INSTANCE"
	// senderField is what the handler in activation/journald adds: PID 1's messages have the two above too from systemd
	// 255 on, but never this one.
	senderField = "CLUSTERCTL_SENDER"
)

// workerTerms match what the workers wrote. The slice is found out by journald, for instances that there will be as well.
// Of a process that has just ended it may not be found out any more; but the journal's end of its stdout belongs to the
// unit, and has its extra fields, and what our handler sends names the app and comes from the workers' user.
func (s Scope) workerTerms() [][]string {
	own, claimed := []string{"_SYSTEMD_SLICE=" + s.Slice}, []string{appField + "=" + s.App}
	if s.Instance > 0 {
		own = []string{"_SYSTEMD_UNIT=" + s.unit(s.Instance)}
		claimed = append(claimed, instanceField+"="+strconv.Itoa(s.Instance))
	}
	terms := [][]string{own, slices.Concat(claimed, []string{"_TRANSPORT=stdout"})}
	if s.UID != "" {
		terms = append(terms, slices.Concat(claimed, []string{senderField + "=worker", "_UID=" + s.UID}))
	}
	return terms
}

// systemTerms match what systemd said about units that are known. LogExtraFields= marks these messages only from 255 on.
func (s Scope) systemTerms() [][]string {
	t := []string{"_PID=1"}
	if s.Instance > 0 {
		return [][]string{append(t, "UNIT="+s.unit(s.Instance))}
	}
	for _, u := range s.Units {
		t = append(t, "UNIT="+u)
	}
	for i := 1; i <= s.Instances; i++ {
		t = append(t, "UNIT="+s.unit(i))
	}
	// From 255 on, instances that are not there any more as well.
	return [][]string{t, {"_PID=1", appField + "=" + s.App}}
}

// suppressedTerm matches what journald says about messages that it dropped.
func (s Scope) suppressedTerm() []string {
	if s.Instance > 0 {
		return []string{"_TRANSPORT=driver", "OBJECT_SYSTEMD_UNIT=" + s.unit(s.Instance)}
	}
	return []string{"_TRANSPORT=driver", "OBJECT_SYSTEMD_SLICE=" + s.Slice}
}

// Line is an entry that belongs to an app.
type Line struct {
	*Entry
	App string
	// Instance is 0 for what is about the app as a whole.
	Instance int
	Source   Source
	// Suppressed is how many messages journald dropped before this one.
	Suppressed int

	label string
}

// Label is "app@3", or "app".
func (l *Line) Label() string {
	if l.label != "" {
		return l.label
	}
	if l.Instance == 0 {
		return l.App
	}
	return l.App + "@" + strconv.Itoa(l.Instance)
}

// sorter finds the app of an entry.
type sorter struct {
	scopes []Scope
	known  map[string]owner
}

type owner struct {
	app      string
	instance int
	label    string
	ok       bool
}

func ownedBy(app string, instance int) owner {
	l := Line{App: app, Instance: instance}
	return owner{app: app, instance: instance, label: l.Label(), ok: true}
}

func newSorter(scopes []Scope) *sorter { return &sorter{scopes: scopes, known: map[string]owner{}} }

// line gives the line that an entry is, or false for an entry of nobody: matches of journalctl are wider than what is
// wanted, and everybody can send a field CLUSTERCTL_APP.
func (s *sorter) line(e *Entry, system bool) (Line, bool) {
	l := Line{Entry: e, Source: e.source()}
	field := [...]string{Worker: "_SYSTEMD_UNIT", Systemd: "UNIT", Journald: "OBJECT_SYSTEMD_UNIT"}[l.Source]
	unit := e.Get(field)
	o, ok := s.known[string(unit)]
	switch {
	case l.Source == Systemd && !system:
		return l, false
	case len(unit) == 0 && l.Source == Worker:
		o = s.claimed(e)
	case !ok:
		o = s.find(string(unit))
		if len(s.known) < maxNames {
			s.known[string(unit)] = o
		}
	}
	if !o.ok && l.Source == Worker {
		o = s.inSlice(string(e.Get("_SYSTEMD_SLICE")))
	}
	if l.Source == Journald {
		l.Suppressed = e.suppressed()
	}
	l.App, l.Instance, l.label = o.app, o.instance, o.label
	return l, o.ok
}

func (s *sorter) find(unit string) owner {
	for _, scope := range s.scopes {
		if i, ok := scope.find(unit); ok {
			return ownedBy(scope.App, i)
		}
	}
	return owner{}
}

// inSlice finds a unit that somebody else has put into the slice of an app.
func (s *sorter) inSlice(slice string) owner {
	for _, scope := range s.scopes {
		if slice != "" && scope.Slice == slice && scope.Instance == 0 {
			return ownedBy(scope.App, 0)
		}
	}
	return owner{}
}

// claimed finds the app of a process that ended before journald could find its unit. journald alone adds fields to the lines
// of a stream. Any other message belongs to the app only if it comes from the app's user.
func (s *sorter) claimed(e *Entry) owner {
	app, i := string(e.Get(appField)), string(e.Get(instanceField))
	at := slices.IndexFunc(s.scopes, func(scope Scope) bool { return scope.App == app })
	if at < 0 || string(e.Get("_TRANSPORT")) != "stdout" && !s.scopes[at].wrote(e) {
		return owner{}
	}
	if i == "" {
		return s.find(app + ".service")
	}
	return s.find(app + "@" + i + ".service")
}

// wrote says whether a message comes from the user of the workers and names our handler. The kernel vouches for the user.
func (s Scope) wrote(e *Entry) bool {
	return s.UID != "" && string(e.Get("_UID")) == s.UID && string(e.Get(senderField)) == "worker"
}
