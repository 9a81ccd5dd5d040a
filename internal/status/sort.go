package status

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// SortKeys are the values that [List.Sorted] sorts by.
var SortKeys = []string{"name", "cpu", "memory", "connections", "restarts", "uptime", "state"}

// Sorted returns all apps, sorted by one of [SortKeys], and so are the instances of each. Equal ones are sorted by name and
// number. What is not known comes last.
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

// sortValues are what apps and instances are sorted by.
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

// compare puts the largest first, and the longest uptime; states as their words sort.
func compare(by string, a, b sortValues) int {
	switch by {
	case "cpu":
		return descending(a.CPU, b.CPU)
	case "memory":
		return descending(a.Memory, b.Memory)
	case "connections":
		return descending(a.connections, b.connections)
	case "restarts":
		return b.restarts - a.restarts
	case "uptime":
		switch {
		case a.since == nil && b.since == nil:
			return 0
		case a.since == nil:
			return 1
		case b.since == nil:
			return -1
		}
		return a.since.Compare(*b.since)
	case "state":
		return strings.Compare(a.state, b.state)
	}
	return 0
}

func descending[T cmp.Ordered](a, b *T) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return cmp.Compare(*b, *a)
}
