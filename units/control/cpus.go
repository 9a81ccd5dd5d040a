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

// CPUs counts the CPUs that the units of a slice will have: the affinity of PID 1, which services inherit, and the cpuset and
// the quota of the slice, of those above it, and of the container, if this is one. The slice need not be there; its
// drop-ins count.
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

// cpuSet is a set of CPUs as systemd sends it: bit i%8 of byte i/8 is CPU i. nil stands for all.
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

// cpuLimit is what one cgroup allows; zero values are no limit. quota is in CPUs.
type cpuLimit struct {
	set   cpuSet
	quota float64
}

// combine takes the smallest quota, and the CPUs that are in every set. A cpuset that leaves the affinity as it is, is
// no limit.
func combine(affinity cpuSet, limits []cpuLimit) units.CPUs {
	cpus := units.CPUs{Affinity: affinity.count()}
	allowed := affinity
	for _, l := range limits {
		if l.quota > 0 && (cpus.Quota == 0 || l.quota < cpus.Quota) {
			cpus.Quota = l.quota
		}
		// The kernel falls back to the parent's set when nothing would be left (cgroups(7), cpuset.cpus.effective).
		if both := allowed.and(l.set); both.count() > 0 {
			allowed = both
		}
	}
	if n := allowed.count(); n < cpus.Affinity {
		cpus.Cpuset = n
	}
	return cpus
}

// maxCPUs is more than any kernel can be built for (CONFIG_NR_CPUS is at most 8192).
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

// sliceLimits asks for the slice and all above it: CPUQuota=, AllowedCPUs= (since 244), and what the kernel made of it.
// Reading the properties loads the slice from disk, drop-ins included.
func (c *Conn) sliceLimits(ctx context.Context, slice string) ([]cpuLimit, error) {
	chain := slicesAbove(slice)
	rs := make([]request, len(chain))
	for i, s := range chain {
		rs[i] = request{unitPath(s), properties + ".GetAll", []any{busName + ".Slice"}}
	}
	calls, err := c.round(ctx, rs)
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

// slicesAbove names the slice and its parents up to the root, by the dashes in its name (systemd.slice(5)).
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

// cgroupLimits reads the root of our cgroup namespace: on a whole machine it has no limits, in a container it is the
// container's. v2 is looked for first, also where it stands beside v1, then v1.
func cgroupLimits(root fs.FS) (cpuLimit, error) {
	var l cpuLimit
	for _, f := range []struct {
		path string
		take func(string) error
	}{
		{"cpu.max", l.takeMax}, {"unified/cpu.max", l.takeMax},
		{"cpuset.cpus.effective", l.takeList}, {"unified/cpuset.cpus.effective", l.takeList},
		{"cpuset/cpuset.effective_cpus", l.takeList},
	} {
		text, err := readLine(root, f.path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = f.take(text)
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
		err = l.takeMax(quota + " " + period)
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

func (l *cpuLimit) takeMax(s string) error {
	quota, err := parseCPUMax(s)
	if err == nil && quota > 0 && (l.quota == 0 || quota < l.quota) {
		l.quota = quota
	}
	return err
}

func (l *cpuLimit) takeList(s string) error {
	set, err := parseCPUList(s)
	if err == nil && len(set) > 0 {
		l.set = l.set.and(set)
	}
	return err
}

// parseCPUMax reads "QUOTA PERIOD" or "max PERIOD", both in µs, as a number of CPUs; 0 is no limit (cgroups v2, cpu.max).
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

// parseCPUList reads "0-3,7" (cpuset(7), List format); nothing is an empty set.
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
