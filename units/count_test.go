package units_test

import (
	"errors"
	"math"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/clusterctl/clusterctl/units"
)

func TestParseCount(t *testing.T) {
	for s, want := range map[string]units.Count{
		"max": {Max: true}, "0": {Max: true}, "4": {N: 4}, "1000": {N: 1000}, "-1": {N: -1}, "50%": {Percent: 50},
		"200%": {Percent: 200}, "1%": {Percent: 1},
	} {
		got, err := units.ParseCount(s)
		if err != nil || got != want {
			t.Errorf("%q: got %+v, %v, want %+v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "all", "MAX", "1001", "-1001", "1.5", "4 ", "0%", "-5%", "1001%", "%", "99999999999999999999"} {
		c, err := units.ParseCount(s)
		var fe *units.FieldError
		if !errors.As(err, &fe) || fe.Key != "instances" || fe.Hint == "" {
			t.Errorf("%q: got %+v, %v, want an error with a hint", s, c, err)
		}
	}
}

func FuzzParseCount(f *testing.F) {
	for _, s := range []string{"max", "0", "-1", "12", "50%", "007", "+3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := units.ParseCount(s)
		if err != nil {
			return
		}
		if again, err := units.ParseCount(c.String()); err != nil || again != c {
			t.Fatalf("%q: got %+v, whose String %q parses as %+v, %v", s, c, c, again, err)
		}
	})
}

func TestResolve(t *testing.T) {
	four := units.CPUs{Affinity: 4}
	for _, c := range []struct {
		count  string
		cpus   units.CPUs
		want   units.Sizing
		reason string
	}{
		{"max", four, units.Sizing{Want: 4, Listed: 8, Follow: true}, "4 CPUs"},
		{"0", units.CPUs{Affinity: 1}, units.Sizing{Want: 1, Listed: 2, Follow: true}, "1 CPU"},
		{"max", units.CPUs{}, units.Sizing{Want: 1, Listed: 1}, "1 CPU"},
		{"max", units.CPUs{Affinity: 8, Cpuset: 6}, units.Sizing{Want: 6, Listed: 6}, "cpuset of 6 CPUs"},
		{"max", units.CPUs{Affinity: 8, Cpuset: 6, Quota: 2.5}, units.Sizing{Want: 2, Listed: 2}, "CPU quota of 250%"},
		{"max", units.CPUs{Affinity: 8, Quota: 0.25}, units.Sizing{Want: 1, Listed: 1}, "CPU quota of 25%"},
		{"max", units.CPUs{Affinity: 4, Quota: 6}, units.Sizing{Want: 4, Listed: 6, Follow: true}, "4 CPUs"},
		{"max", units.CPUs{Affinity: 4, Cpuset: 4}, units.Sizing{Want: 4, Listed: 4, Follow: true}, "4 CPUs"},
		{"max", units.CPUs{Affinity: 800}, units.Sizing{Want: 800, Listed: 1000, Follow: true}, "800 CPUs"},
		{"max", units.CPUs{Affinity: 2000}, units.Sizing{Want: 1000, Listed: 1000}, "2000 CPUs"},
		{"1", four, units.Sizing{Want: 1, Listed: 1}, "the default"},
		{"3", units.CPUs{Affinity: 1, Quota: 1}, units.Sizing{Want: 3, Listed: 3}, "as asked"},
		{"-1", four, units.Sizing{Want: 3, Listed: 3}, "4 CPUs, less 1"},
		{"-9", four, units.Sizing{Want: 1, Listed: 1}, "4 CPUs, less 9"},
		{"-1", units.CPUs{Affinity: 2000}, units.Sizing{Want: 1000, Listed: 1000}, "2000 CPUs, less 1"},
		{"50%", units.CPUs{Affinity: 7}, units.Sizing{Want: 3, Listed: 3}, "50% of 7 CPUs"},
		{"1%", four, units.Sizing{Want: 1, Listed: 1}, "1% of 4 CPUs"},
		{"1000%", units.CPUs{Affinity: 500}, units.Sizing{Want: 1000, Listed: 1000}, "1000% of 500 CPUs"},
	} {
		n, err := units.ParseCount(c.count)
		if err != nil {
			t.Fatal(err)
		}
		if c.count == "1" {
			n = units.Count{} // a count that is not given
		}
		c.want.Reason = c.reason
		if got := n.Resolve(c.cpus); got != c.want {
			t.Errorf("%s on %+v: got %+v, want %+v", c.count, c.cpus, got, c.want)
		}
	}
}

// TestResolveInvariants: Want is at least 1. Without an explicit number of instances, Want does not exceed the CPU limits.
// Listed exceeds Want only if ConditionCPUs= skips the additional instances.
func TestResolveInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.Just("max"),
			rapid.Map(rapid.IntRange(-units.MaxInstances, units.MaxInstances), strconv.Itoa),
			rapid.Map(rapid.IntRange(1, 1000), func(n int) string { return strconv.Itoa(n) + "%" })).Draw(t, "count")
		cpus := units.CPUs{
			Affinity: rapid.IntRange(0, 4096).Draw(t, "affinity"), Cpuset: rapid.IntRange(0, 4096).Draw(t, "cpuset"),
			Quota: rapid.Float64Range(0, 4096).Draw(t, "quota"),
		}
		c, err := units.ParseCount(text)
		if err != nil {
			t.Fatal(err)
		}
		s := c.Resolve(cpus)
		if s.Want < 1 || s.Listed < s.Want || s.Listed > units.MaxInstances || s.Reason == "" {
			t.Fatalf("Resolve returned the invalid %+v", s)
		}
		if s.Listed > s.Want && !s.Follow {
			t.Fatalf("%+v lists more instances than wanted, and ConditionCPUs= does not skip them", s)
		}
		if s.Follow && (s.Want != min(cpus.Affinity, units.MaxInstances) || c != (units.Count{Max: true})) {
			t.Fatalf("%+v follows the CPU count of %+v, but another limit is smaller", s, cpus)
		}
		if c.N > 0 || c.Percent > 100 {
			return
		}
		// All listed instances may run once the machine has more CPUs. So Listed must respect the limits that ConditionCPUs=
		// ignores.
		if cpus.Cpuset > 0 && s.Listed > cpus.Cpuset {
			t.Fatalf("%+v exceeds the cpuset", s)
		}
		if q := int(math.Floor(cpus.Quota)); cpus.Quota > 0 && s.Listed > max(q, 1) {
			t.Fatalf("%+v exceeds the quota", s)
		}
		if s.Want > max(cpus.Affinity, 1) {
			t.Fatalf("%+v exceeds the number of CPUs", s)
		}
	})
}
