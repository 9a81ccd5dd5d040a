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
	// Instances is the number of instances of the app. More may appear while its lines are followed.
	Instances int
	// Slice is the slice of its processes. Units are the other units of the app: app.service, sockets.
	Slice string
	Units []string
	// UID is the numeric user ID of its workers, or "" if it is not known.
	UID string
	// Namespace is the journal namespace of the app (LogNamespace=), or "" for the journal of the machine.
	Namespace string
}

// unit returns the unit name of instance i.
func (s Scope) unit(i int) string { return s.App + "@" + strconv.Itoa(i) + ".service" }

// find reports whether a unit belongs to the scope, and returns its instance number, or 0 for another unit of the app.
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
	// senderField is added by the handler in activation/journald. Since systemd 255, messages of PID 1 have the two fields
	// above, too, but never this one.
	senderField = "CLUSTERCTL_SENDER"
)

// workerTerms returns terms that match the lines of the workers. journald finds the slice of a process, so the first term
// also matches instances that do not exist yet. If a process has just ended, journald may not find its slice. But lines from
// stdout have the extra fields of the unit, and messages of our handler name the app and come from the user of the workers.
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

// systemTerms returns terms that match systemd's messages about the known units. LogExtraFields= marks these messages only
// since 255.
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
	// Since 255, this also matches instances that have been removed.
	return [][]string{t, {"_PID=1", appField + "=" + s.App}}
}

// suppressedTerm returns the terms that match journald's messages about dropped messages.
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
	// Suppressed is the number of messages that journald dropped before this one.
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
	// owners has a Line without an entry for each unit: the app and the instance, or no app.
	owners map[string]Line
}

func newSorter(scopes []Scope) *sorter { return &sorter{scopes: scopes, owners: map[string]Line{}} }

// line returns the entry as a line. It returns false if the entry does not belong to a scope: the matches of journalctl
// select more entries than needed, and any process can send a field CLUSTERCTL_APP.
func (s *sorter) line(e *Entry, system bool) (Line, bool) {
	source := e.source()
	unit := e.Get([...]string{Worker: "_SYSTEMD_UNIT", Systemd: "UNIT", Journald: "OBJECT_SYSTEMD_UNIT"}[source])
	l, ok := s.owners[string(unit)]
	switch {
	case source == Systemd && !system:
		return Line{}, false
	case len(unit) == 0 && source == Worker:
		l = s.claimed(e)
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

// find returns the app and the instance of a unit, or an empty Line.
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

// inSlice finds the app of a foreign unit that runs in the slice of the app.
func (s *sorter) inSlice(slice string) Line {
	for _, scope := range s.scopes {
		if slice != "" && scope.Slice == slice && scope.Instance == 0 {
			return Line{App: scope.App, label: scope.App}
		}
	}
	return Line{}
}

// claimed finds the app of a process that ended before journald could find its unit. Only journald adds fields to the lines
// of a stream. Any other message belongs to the app only if it comes from the app's user.
func (s *sorter) claimed(e *Entry) Line {
	app, i := string(e.Get(appField)), string(e.Get(instanceField))
	at := slices.IndexFunc(s.scopes, func(scope Scope) bool { return scope.App == app })
	if at < 0 || string(e.Get("_TRANSPORT")) != "stdout" && !s.scopes[at].wrote(e) {
		return Line{}
	}
	if i == "" {
		return s.find(app + ".service")
	}
	return s.find(app + "@" + i + ".service")
}

// wrote reports whether a message comes from our handler, running as the user of the workers. The kernel guarantees the
// user.
func (s Scope) wrote(e *Entry) bool {
	return s.UID != "" && string(e.Get("_UID")) == s.UID && string(e.Get(senderField)) == "worker"
}
