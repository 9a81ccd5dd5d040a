package journal

import (
	"slices"
	"strconv"
	"strings"
)

// Scope selects the lines of an app, or of one of its instances.
type Scope struct {
	App string
	// Instance is the number of the instance; 0 selects the whole app.
	Instance int
	// Instances is the number of instances of the app. More instances may appear while the journal is followed.
	Instances int
	// Slice is the slice of the app's processes. Units are the units of the app that are not instances: app.service,
	// sockets.
	Slice string
	Units []string
	// UID is the numeric user ID of the workers, or "" if it is unknown.
	UID string
	// Namespace is the journal namespace of the app (LogNamespace=), or "" for the journal of the machine.
	Namespace string
}

// The method unit returns the unit name of instance i.
func (s Scope) unit(i int) string { return s.App + "@" + strconv.Itoa(i) + ".service" }

// The method find reports whether a unit belongs to the scope. It returns the number of the instance, or 0 for a unit
// that is not an instance.
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
	// senderField is added by the handler in activation/journald. Since systemd 255, messages of PID 1 also have appField
	// and instanceField, but never senderField.
	senderField = "CLUSTERCTL_SENDER"
)

// workerTerms returns groups of matches for the lines of the workers. The first group matches by the slice or the unit of
// the process; the slice includes instances that do not exist yet. If a process has just ended, journald may not find its
// slice. For such processes, the other groups match lines from stdout by the fields of LogExtraFields=, and messages of
// the handler in activation/journald by the user of the workers.
func (s Scope) workerTerms() [][]string {
	own, extra := []string{"_SYSTEMD_SLICE=" + s.Slice}, []string{appField + "=" + s.App}
	if s.Instance > 0 {
		own = []string{"_SYSTEMD_UNIT=" + s.unit(s.Instance)}
		extra = append(extra, instanceField+"="+strconv.Itoa(s.Instance))
	}
	terms := [][]string{own, slices.Concat(extra, []string{"_TRANSPORT=stdout"})}
	if s.UID != "" {
		terms = append(terms, slices.Concat(extra, []string{senderField + "=worker", "_UID=" + s.UID}))
	}
	return terms
}

// systemTerms returns groups of matches for the messages of systemd about the units of the scope.
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
	// Since systemd 255, messages of PID 1 have appField, so the second group also matches removed instances.
	return [][]string{t, {"_PID=1", appField + "=" + s.App}}
}

// suppressedTerm returns a group of matches for the messages of journald about dropped messages.
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
	// Instance is 0 for a line about the whole app.
	Instance int
	Source   Source
	// If journald reports dropped messages in this entry, Suppressed is their number.
	Suppressed int

	label string
}

// Label returns "app@3", or "app" for a line about the whole app.
func (l *Line) Label() string {
	if l.label != "" {
		return l.label
	}
	if l.Instance == 0 {
		return l.App
	}
	return l.App + "@" + strconv.Itoa(l.Instance)
}

// sorter finds the app of each entry.
type sorter struct {
	scopes []Scope
	// The keys of owners are unit names. A value is a Line without an entry, with the app and the instance of the unit.
	// If the unit does not belong to a scope, the field App of the value is empty.
	owners map[string]Line
}

func newSorter(scopes []Scope) *sorter { return &sorter{scopes: scopes, owners: map[string]Line{}} }

// The method line converts an entry to a Line. It returns false if the entry does not belong to a scope. journalctl
// also prints such entries, because its matches select more entries than needed, and any process can send a field
// CLUSTERCTL_APP.
func (s *sorter) line(e *Entry, system bool) (Line, bool) {
	source := e.source()
	unit := e.Get([...]string{Worker: "_SYSTEMD_UNIT", Systemd: "UNIT", Journald: "OBJECT_SYSTEMD_UNIT"}[source])
	l, ok := s.owners[string(unit)]
	switch {
	case source == Systemd && !system:
		return Line{}, false
	case len(unit) == 0 && source == Worker:
		l = s.byFields(e)
	case !ok:
		l = s.find(string(unit))
		if len(s.owners) < maxNames {
			s.owners[string(unit)] = l
		}
	}
	if l.App == "" && source == Worker {
		l = s.inSlice(string(e.Get("_SYSTEMD_SLICE")))
	}
	l.Entry, l.Source = e, source
	if source == Journald {
		l.Suppressed, _ = strconv.Atoi(string(e.Get("N_DROPPED"))) // since 240
	}
	return l, l.App != ""
}

// The method find returns a Line with the app and the instance of a unit, or an empty Line.
func (s *sorter) find(unit string) (l Line) {
	for _, scope := range s.scopes {
		if i, ok := scope.find(unit); ok {
			l.App, l.Instance = scope.App, i
			l.label = l.Label()
			break
		}
	}
	return l
}

// inSlice returns the app of a slice, for a process in this slice whose unit does not belong to an app.
func (s *sorter) inSlice(slice string) Line {
	for _, scope := range s.scopes {
		if slice != "" && scope.Slice == slice && scope.Instance == 0 {
			return Line{App: scope.App, label: scope.App}
		}
	}
	return Line{}
}

// byFields finds the app of a process that ended before journald could find its unit, by the fields of the entry. In a
// line from stdout, journald has set these fields. Any other message belongs to the app only if the handler in
// activation/journald sent the message as the user of the workers.
func (s *sorter) byFields(e *Entry) Line {
	app, i := string(e.Get(appField)), string(e.Get(instanceField))
	at := slices.IndexFunc(s.scopes, func(scope Scope) bool { return scope.App == app })
	if at < 0 || string(e.Get("_TRANSPORT")) != "stdout" && !s.scopes[at].isFromHandler(e) {
		return Line{}
	}
	if i == "" {
		return s.find(app + ".service")
	}
	return s.find(app + "@" + i + ".service")
}

// isFromHandler reports whether the handler in activation/journald sent a message as the user of the workers. The
// user in the entry is correct, because journald gets it from the kernel.
func (s Scope) isFromHandler(e *Entry) bool {
	return s.UID != "" && string(e.Get("_UID")) == s.UID && string(e.Get(senderField)) == "worker"
}
