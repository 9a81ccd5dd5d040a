package status

import (
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/units"
)

// TestSorted checks that the largest values come first, and that unknown values come last.
func TestSorted(t *testing.T) {
	now := time.Unix(1000, 0)
	app := func(name units.Name, state string, cpu float64, memory int64, connections, restarts int, since *time.Time) App {
		a := App{Name: name, State: state, Restarts: restarts, Since: since}
		if memory > 0 {
			a.CPU, a.Memory, a.Connections = &cpu, &memory, &connections
		}
		return a
	}
	l := &List{
		Apps: []App{
			app("slow", "starting", 0, 0, 0, 0, nil),
			app("shop", "degraded", 30, 100, 13, 14, ptr(now.Add(-time.Hour))),
			app("blog", "running", 1, 200, 0, 0, ptr(now.Add(-2*time.Hour))),
			app("off", "stopped", 0, 0, 0, 0, nil),
		},
		Broken: []App{{Name: "torn", State: "unknown"}},
	}
	l.Apps[1].Instances = []Instance{
		{Instance: 2, Usage: Usage{Memory: ptr(int64(40))}}, {Instance: 1, Usage: Usage{Memory: ptr(int64(60))}},
		{Instance: 3, Restarts: 12}, {Instance: 4},
	}
	numbers := map[string]string{"memory": "1234", "restarts": "3124"}
	for by, want := range map[string]string{
		"name":        "blog off shop slow torn",
		"cpu":         "shop blog off slow torn",
		"memory":      "blog shop off slow torn",
		"connections": "shop blog off slow torn",
		"restarts":    "shop blog off slow torn",
		"uptime":      "blog shop off slow torn",
		"state":       "shop blog slow off torn",
	} {
		var names []string
		got := ""
		for _, a := range l.Sorted(by) {
			names = append(names, string(a.Name))
			for _, i := range a.Instances {
				got += string(rune('0' + i.Instance))
			}
		}
		if strings.Join(names, " ") != want {
			t.Errorf("%s: got %q, want %s", by, names, want)
		}
		if numbers[by] != "" && got != numbers[by] {
			t.Errorf("%s: got the instances %s, want %s", by, got, numbers[by])
		}
	}
	if len(SortKeys) != 7 {
		t.Errorf("the table of this test must have all keys of %q", SortKeys)
	}
	if got := new(List).Sorted("name"); got == nil || len(got) > 0 {
		t.Errorf("without apps: got %v, want an empty list", got)
	}
}
