package status

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// SortKeys are the values that [List.Sorted] sorts by.
var SortKeys = []string{"name", "cpu", "memory", "connections", "restarts", "uptime", "state"}

// Sorted returns all apps and their instances, sorted by one of [SortKeys]. Equal apps are sorted by name, and equal
// instances by number. Unknown values come last.
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

// sortValues are the values by which apps and instances are sorted.
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

// compare puts the largest values and the longest uptime first, and sorts states alphabetically.
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
