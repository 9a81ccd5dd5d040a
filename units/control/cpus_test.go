package control

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/clusterctl/clusterctl/units"
)

func TestSlicesAbove(t *testing.T) {
	for in, want := range map[string]string{
		"clusterctl-shop.slice":           "clusterctl-shop.slice clusterctl.slice -.slice",
		`clusterctl-my\x2dapp.slice`:      `clusterctl-my\x2dapp.slice clusterctl.slice -.slice`,
		"a-b-c.slice":                     "a-b-c.slice a-b.slice a.slice -.slice",
		"-.slice":                         "-.slice",
		units.Name("my-app").Slice() + "": `clusterctl-my\x2dapp.slice clusterctl.slice -.slice`,
	} {
		if got := strings.Join(slicesAbove(in), " "); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestCombine(t *testing.T) {
	four := cpuSet{0b1111}
	for _, c := range []struct {
		name   string
		limits []cpuLimit
		want   units.CPUs
	}{
		{"no limits", []cpuLimit{{}, {}}, units.CPUs{Affinity: 4}},
		{"the smallest quota", []cpuLimit{{quota: 3}, {quota: 1.5}, {}, {quota: 2}}, units.CPUs{Affinity: 4, Quota: 1.5}},
		{"a set as large as the affinity", []cpuLimit{{set: cpuSet{0xff}}}, units.CPUs{Affinity: 4}},
		{"a set that overlaps the affinity", []cpuLimit{{set: cpuSet{0b111000}}}, units.CPUs{Affinity: 4, Cpuset: 1}},
		{"two sets", []cpuLimit{{set: cpuSet{0b0111}}, {set: cpuSet{0b1110, 1}}}, units.CPUs{Affinity: 4, Cpuset: 2}},
		{"a set without CPUs of this machine", []cpuLimit{{set: cpuSet{0, 1}}}, units.CPUs{Affinity: 4}},
	} {
		if got := combine(four, c.limits); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestCgroupLimits(t *testing.T) {
	tree := func(pairs ...string) fstest.MapFS {
		m := fstest.MapFS{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1] + "\n")}
		}
		return m
	}
	for _, c := range []struct {
		name  string
		tree  fstest.MapFS
		quota float64
		cpus  int
		bad   bool
	}{
		{"a machine", tree(), 0, 0, false},
		{"a container, v2", tree("cpu.max", "150000 100000", "cpuset.cpus.effective", "0-2,5"), 1.5, 4, false},
		{"no limits, v2", tree("cpu.max", "max 100000", "cpuset.cpus.effective", "0-3"), 0, 4, false},
		{"a container, v1", tree("cpu/cpu.cfs_quota_us", "50000", "cpu/cpu.cfs_period_us", "100000",
			"cpuset/cpuset.effective_cpus", "1"), 0.5, 1, false},
		{"no limits, v1", tree("cpu/cpu.cfs_quota_us", "-1", "cpu/cpu.cfs_period_us", "100000"), 0, 0, false},
		{"v1 and v2", tree("unified/cpu.max", "300000 100000", "cpu/cpu.cfs_quota_us", "200000", "cpu/cpu.cfs_period_us", "100000"),
			2, 0, false},
		{"an invalid cpu.max", tree("cpu.max", "a lot"), 0, 0, true},
		{"v1 without a period", tree("cpu/cpu.cfs_quota_us", "50000"), 0, 0, true},
	} {
		l, err := cgroupLimits(c.tree)
		if (err != nil) != c.bad || l.quota != c.quota || l.set.count() != c.cpus {
			t.Errorf("%s: got %+v, error %v, want the quota %v and %d CPUs", c.name, l, err, c.quota, c.cpus)
		}
	}
}

func FuzzCPUList(f *testing.F) {
	for _, s := range []string{"", "0", "0-3,7", "1,1,1", "3-1", "8191", "8192", "-", ",", "0-4294967295", "0x1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		set, err := parseCPUList(s)
		if err != nil {
			return
		}
		if n := set.count(); n > maxCPUs || (n == 0) != (s == "") {
			t.Errorf("%q: got %d CPUs, want at most %d", s, n, maxCPUs)
		}
	})
}

func FuzzCPUMax(f *testing.F) {
	for _, s := range []string{"max 100000", "max", "150000 100000", "1 0", "0 1", "-1 5", "1 2 3", "99999999999999999999 1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if q, err := parseCPUMax(s); err == nil && (q < 0 || q == 0 && !strings.HasPrefix(s, "max")) {
			t.Errorf("%q: got %v CPUs, want more than 0", s, q)
		}
	})
}
