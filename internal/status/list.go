package status

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// Listed is an app with the number of its listed instances.
type Listed struct {
	App   units.App
	Count int
	// The field onlyInstances has the numbers of the requested instances, or is nil for all instances.
	onlyInstances []int
}

// List has the requested apps. [Collector.Collect] adds the state of these apps.
type List struct {
	Known []Listed
	// States, Facts and Apps are in the same order as Known.
	States [][]control.State
	Facts  []Facts
	Apps   []App
	// Broken has the apps whose files are damaged, and Problems has the errors.
	Broken   []App
	Problems []error
}

// All returns the list of all installed apps. An app with damaged files is in Broken, so that the other apps are still
// listed.
func All(store *install.Store) (l List, err error) {
	names, err := store.Apps()
	if err != nil {
		return l, err
	}
	for _, n := range names {
		var a Listed
		if a.App, err = store.Load(n); err == nil {
			a.Count, err = store.Listed(n)
		}
		_, isGone := errors.AsType[*install.NotInstalledError](err)
		switch {
		case err == nil:
			l.Known = append(l.Known, a)
		case !isGone: // isGone is true if the app was uninstalled after the call of Apps
			l.Broken = append(l.Broken, App{Name: n, State: "unknown", Problem: err.Error(), Listen: []string{}, Instances: []Instance{}})
			l.Problems = append(l.Problems, err)
		}
	}
	return l, nil
}

// Add adds an app with count instances. If instance is not 0, only this instance of the app is requested. If the app is
// already in the list, Add adds the instance to the requested instances.
func (l *List) Add(app units.App, count, instance int) {
	i := slices.IndexFunc(l.Known, func(a Listed) bool { return a.App.Name == app.Name })
	switch {
	case i < 0:
		a := Listed{App: app, Count: count}
		if instance > 0 {
			a.onlyInstances = []int{instance}
		}
		l.Known = append(l.Known, a)
	case instance == 0:
		l.Known[i].onlyInstances = nil
	case l.Known[i].onlyInstances != nil:
		l.Known[i].onlyInstances = append(l.Known[i].onlyInstances, instance)
	}
}

func (l *List) units() []string {
	var all []string
	for _, a := range l.Known {
		all = append(all, Units(a.App, a.Count)...)
	}
	return all
}

// SortKeys has the values by which [List.Sorted] can sort.
var SortKeys = []string{"name", "cpu", "memory", "connections", "restarts", "uptime", "state"}

// Sorted returns all apps, sorted by one of [SortKeys], with their instances sorted in the same way. Apps with equal values
// are sorted by name, and instances with equal values by number. Unknown values come last.
func (l *List) Sorted(by string) []App {
	apps := append(slices.Clone(l.Apps), l.Broken...)
	slices.SortFunc(apps, func(a, b App) int {
		return cmp.Or(compare(by, a.sortValues(), b.sortValues()), strings.Compare(string(a.Name), string(b.Name)))
	})
	for _, a := range apps {
		slices.SortFunc(a.Instances, func(a, b Instance) int {
			return cmp.Or(compare(by, a.sortValues(), b.sortValues()), a.Instance-b.Instance)
		})
	}
	if apps == nil {
		apps = []App{}
	}
	return apps
}

type sortValues struct {
	Usage
	connections *int
	restarts    int
	since       *time.Time
	state       string
}

func (s App) sortValues() sortValues {
	return sortValues{s.Usage, s.Connections, s.Restarts, s.Since, s.State}
}

func (i Instance) sortValues() sortValues {
	return sortValues{i.Usage, i.Connections, i.Restarts, i.Since, i.State}
}

// The function compare returns a negative number if a comes before b. The largest value and the longest uptime come first.
// States are sorted alphabetically.
func compare(by string, a, b sortValues) int {
	switch by {
	case "cpu":
		return compareKnown(a.CPU, b.CPU, descending)
	case "memory":
		return compareKnown(a.Memory, b.Memory, descending)
	case "connections":
		return compareKnown(a.connections, b.connections, descending)
	case "restarts":
		return b.restarts - a.restarts
	case "uptime":
		return compareKnown(a.since, b.since, time.Time.Compare)
	case "state":
		return strings.Compare(a.state, b.state)
	}
	return 0
}

// compareKnown compares two values with the given function. An unknown value is nil, and comes last.
func compareKnown[T any](a, b *T, compare func(T, T) int) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return compare(*a, *b)
}

func descending[T cmp.Ordered](a, b T) int { return cmp.Compare(b, a) }
