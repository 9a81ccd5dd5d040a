package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"os"
	"strconv"
	"strings"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/units"
)

// CPUs returns the number of CPUs that the units of a slice can use. The number depends on the CPU affinity of PID 1, which
// services inherit. The number also depends on the cpusets and quotas of the slice, of its parent slices, and of the
// container in which systemd may run. The slice need not exist, because systemd also applies the drop-ins of a slice without
// a file.
func (c *Conn) CPUs(ctx context.Context, slice string) (units.CPUs, error) {
	affinity, err := affinityOf(1)
	if err != nil {
		return units.CPUs{}, fmt.Errorf("reading the CPU affinity of PID 1: %w", err)
	}
	limits, err := c.sliceLimits(ctx, slice)
	if err != nil {
		return units.CPUs{}, fmt.Errorf("reading the CPU limits of %s: %w", slice, err)
	}
	outer, err := cgroupLimits(os.DirFS("/sys/fs/cgroup"))
	if err != nil {
		return units.CPUs{}, fmt.Errorf("reading the CPU limits of the container: %w", err)
	}
	return combine(affinity, append(limits, outer)), nil
}

// cpuSet is a set of CPUs in the format of systemd: bit i%8 of byte i/8 is CPU i. nil means all CPUs.
type cpuSet []byte

func (s cpuSet) count() int {
	n := 0
	for _, b := range s {
		n += bits.OnesCount8(b)
	}
	return n
}

func (s cpuSet) and(t cpuSet) cpuSet {
	switch {
	case s == nil:
		return t
	case t == nil:
		return s
	}
	both := make(cpuSet, min(len(s), len(t)))
	for i := range both {
		both[i] = s[i] & t[i]
	}
	return both
}

// cpuLimit holds the limits of one cgroup: a cpuset, and a quota as a number of CPUs. A zero field means no limit.
type cpuLimit struct {
	set   cpuSet
	quota float64
}

// The function combine returns the number of CPUs in the affinity, the smallest quota, and the number of CPUs that are in
// every set. If every set contains all CPUs of the affinity, the last number is 0.
func combine(affinity cpuSet, limits []cpuLimit) units.CPUs {
	cpus := units.CPUs{Affinity: affinity.count()}
	allowed := affinity
	for _, l := range limits {
		if l.quota > 0 && (cpus.Quota == 0 || l.quota < cpus.Quota) {
			cpus.Quota = l.quota
		}
		// If a set has no CPU in common with the set of its parent, the kernel uses the set of the parent (cgroups(7),
		// cpuset.cpus.effective).
		if both := allowed.and(l.set); both.count() > 0 {
			allowed = both
		}
	}
	if n := allowed.count(); n < cpus.Affinity {
		cpus.Cpuset = n
	}
	return cpus
}

// maxCPUs is the largest number of CPUs for which a kernel can be built (CONFIG_NR_CPUS).
const maxCPUs = 8192

func affinityOf(pid int) (cpuSet, error) {
	set := unix.NewCPUSet(maxCPUs)
	if err := unix.SchedGetaffinityDynamic(pid, set); err != nil {
		return nil, err
	}
	s := make(cpuSet, maxCPUs/8)
	for i := range maxCPUs {
		if set.IsSet(i) {
			s[i/8] |= 1 << (i % 8)
		}
	}
	return s, nil
}

// sliceLimits returns the limits of the slice and of its parents: CPUQuota=, AllowedCPUs= (since systemd 244), and the CPUs
// that the kernel allows. The call for the properties makes systemd load the slice with its drop-ins.
func (c *Conn) sliceLimits(ctx context.Context, slice string) ([]cpuLimit, error) {
	chain := slicesAbove(slice)
	rs := make([]request, len(chain))
	for i, s := range chain {
		rs[i] = request{unitPath(s), properties + ".GetAll", []any{busName + ".Slice"}}
	}
	calls, err := c.roundTrip(ctx, rs)
	if err != nil {
		return nil, err
	}
	var limits []cpuLimit
	for _, call := range calls {
		var props map[string]dbus.Variant
		if err := call.Store(&props); err != nil {
			return nil, translate(err)
		}
		var l cpuLimit
		if us, ok := props["CPUQuotaPerSecUSec"].Value().(uint64); ok && us != infinity {
			l.quota = float64(us) / 1e6
		}
		for _, name := range []string{"AllowedCPUs", "EffectiveCPUs"} {
			if set, ok := props[name].Value().([]byte); ok && len(set) > 0 {
				l.set = l.set.and(set)
			}
		}
		limits = append(limits, l)
	}
	return limits, nil
}

// slicesAbove returns the names of the slice and of its parents up to the root slice. The dashes in the name of a slice
// determine its parents (systemd.slice(5)).
func slicesAbove(slice string) []string {
	const root = "-.slice"
	if slice == root {
		return []string{root}
	}
	chain := []string{slice}
	for name := strings.TrimSuffix(slice, ".slice"); ; {
		i := strings.LastIndexByte(name, '-')
		if i <= 0 {
			return append(chain, root)
		}
		name = name[:i]
		chain = append(chain, name+".slice")
	}
}

// cgroupLimits returns the limits of the root cgroup of our cgroup namespace. In a container, the root cgroup has the limits
// of the container. Outside of containers, the root cgroup has no limits. cgroupLimits reads the files of cgroups v2, which
// may be mounted beside v1, and then the files of v1.
func cgroupLimits(root fs.FS) (cpuLimit, error) {
	var l cpuLimit
	for _, f := range []struct {
		path string
		add  func(string) error
	}{
		{"cpu.max", l.addQuota}, {"unified/cpu.max", l.addQuota},
		{"cpuset.cpus.effective", l.addSet}, {"unified/cpuset.cpus.effective", l.addSet},
		{"cpuset/cpuset.effective_cpus", l.addSet},
	} {
		text, err := readLine(root, f.path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = f.add(text)
		}
		if err != nil {
			return cpuLimit{}, fmt.Errorf("/sys/fs/cgroup/%s: %w", f.path, err)
		}
	}
	quota, err := readLine(root, "cpu/cpu.cfs_quota_us")
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	period, err2 := readLine(root, "cpu/cpu.cfs_period_us")
	if err = errors.Join(err, err2); err == nil && quota != "-1" {
		err = l.addQuota(quota + " " + period)
	}
	if err != nil {
		return cpuLimit{}, fmt.Errorf("/sys/fs/cgroup/cpu: %w", err)
	}
	return l, nil
}

func readLine(root fs.FS, path string) (string, error) {
	b, err := fs.ReadFile(root, path)
	return strings.TrimSpace(string(b)), err
}

func (l *cpuLimit) addQuota(s string) error {
	quota, err := parseCPUMax(s)
	if err == nil && quota > 0 && (l.quota == 0 || quota < l.quota) {
		l.quota = quota
	}
	return err
}

func (l *cpuLimit) addSet(s string) error {
	set, err := parseCPUList(s)
	if err == nil && len(set) > 0 {
		l.set = l.set.and(set)
	}
	return err
}

// parseCPUMax returns the number of CPUs in a text like "QUOTA PERIOD" or "max PERIOD", with times in µs; 0 means no limit
// (cgroups v2, cpu.max).
func parseCPUMax(s string) (float64, error) {
	quota, period, _ := strings.Cut(s, " ")
	if quota == "max" {
		return 0, nil
	}
	q, err := strconv.ParseUint(quota, 10, 63)
	p, err2 := strconv.ParseUint(period, 10, 63)
	if err != nil || err2 != nil || q == 0 || p == 0 {
		return 0, fmt.Errorf("%q is not a CPU quota", s)
	}
	return float64(q) / float64(p), nil
}

// parseCPUList returns the set of CPUs in a list like "0-3,7" (cpuset(7), List format). An empty list is an empty set.
func parseCPUList(s string) (cpuSet, error) {
	if s == "" {
		return cpuSet{}, nil
	}
	set := make(cpuSet, maxCPUs/8)
	for part := range strings.SplitSeq(s, ",") {
		from, to, ranged := strings.Cut(part, "-")
		if !ranged {
			to = from
		}
		a, err := strconv.ParseUint(from, 10, 32)
		b, err2 := strconv.ParseUint(to, 10, 32)
		if err != nil || err2 != nil || a > b || b >= maxCPUs {
			return nil, fmt.Errorf("%q is not a list of CPUs", s)
		}
		for i := a; i <= b; i++ {
			set[i/8] |= 1 << (i % 8)
		}
	}
	return set, nil
}
