package units

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/clusterctl/clusterctl/internal/text"
)

// MaxInstances is the most instances an app may have.
const MaxInstances = 1000

// headroom is how far beyond today's CPU count "max" lists instances, as a factor: a machine that boots with twice the
// CPUs fills them without clusterctl. Each instance above the count costs one "skipped" line of PID 1 at a start.
const headroom = 2

// Count is the number of instances as the user wrote it. The zero value means that the user did not write one, which is one
// instance: what a program keeps in its memory or in its files is often for one process alone.
type Count struct {
	// N > 0 is that many; N < 0 is the CPU count plus N, at least one (PM2's -1).
	N int
	// Percent > 0 is that part of the CPU count, rounded down, at least one.
	Percent int
	// Max is one instance per CPU (max, and PM2's 0).
	Max bool
}

// Given reports whether the user wrote a number of instances.
func (c Count) Given() bool { return c != Count{} }

// ParseCount reads "max", "4", "0", "-1" or "50%".
func ParseCount(s string) (Count, error) {
	bad := func(why string) (Count, error) {
		return Count{}, fieldErrorf("instances", "use max, a number from 1 to "+strconv.Itoa(MaxInstances)+
			", -1 (one CPU left free) or 50%", "%q %s", s, why)
	}
	if s == "max" {
		return Count{Max: true}, nil
	}
	if p, ok := strings.CutSuffix(s, "%"); ok {
		n, err := strconv.Atoi(p)
		if err != nil || n < 1 || n > 1000 {
			return bad("is not a percentage from 1% to 1000%")
		}
		return Count{Percent: n}, nil
	}
	n, err := strconv.Atoi(s)
	switch {
	case err != nil:
		return bad("is not a number of instances")
	case n > MaxInstances || n < -MaxInstances:
		return bad("is out of range")
	}
	return Count{N: n, Max: n == 0}, nil
}

// String re-parses to the same Count, except that a count that was not given becomes "1".
func (c Count) String() string {
	switch {
	case c.Percent > 0:
		return strconv.Itoa(c.Percent) + "%"
	case c.Max:
		return "max"
	case c.N == 0:
		return "1"
	}
	return strconv.Itoa(c.N)
}

// CPUs are the three limits on the CPUs that an app's slice will have.
type CPUs struct {
	// Affinity is the number of CPUs that PID 1 may run on, which ConditionCPUs= also counts.
	Affinity int
	// Cpuset is the number in cpuset.cpus.effective of the slice; 0 means no limit.
	Cpuset int
	// Quota is the smallest CPU quota on the way to the root, in CPUs (cpu.max, CPUQuota=); 0 means no limit.
	Quota float64
}

// Limit gives the smallest of the three, at least 1, and which one it was in words.
// A quota is rounded down: 1.5 CPUs are enough for one busy worker, not for two.
func (c CPUs) Limit() (n int, reason string) {
	n, reason = max(c.Affinity, 1), text.Count(max(c.Affinity, 1), "CPU")
	if c.Cpuset > 0 && c.Cpuset < n {
		n, reason = c.Cpuset, fmt.Sprintf("cpuset of %s", text.Count(c.Cpuset, "CPU"))
	}
	if q := int(math.Floor(c.Quota)); c.Quota > 0 && max(q, 1) < n {
		n, reason = max(q, 1), fmt.Sprintf("CPU quota of %d%%", int(math.Round(c.Quota*100)))
	}
	return n, reason
}

// Sizing is a Count resolved for one machine.
type Sizing struct {
	// Want is how many instances run today.
	Want int
	// Listed is how many the aggregate names; more than Want when they follow the machine.
	Listed int
	// Follow puts ConditionCPUs=|>=%i into the template (since 242).
	Follow bool
	// Reason says in words how Want came about, for example "2 CPUs".
	Reason string
}

// Resolve sizes the app. Only "max", and only while the plain CPU count is what limits it, can follow the machine by
// itself: ConditionCPUs= knows neither a quota nor the slice's cpuset, and cannot subtract.
func (c Count) Resolve(cpus CPUs) Sizing {
	limit, reason := cpus.Limit()
	switch {
	case !c.Given():
		return Sizing{Want: 1, Listed: 1, Reason: "the default"}
	case c.N > 0:
		return Sizing{Want: c.N, Listed: c.N, Reason: "as asked"}
	case c.Percent > 0:
		n := min(max(limit*c.Percent/100, 1), MaxInstances)
		return Sizing{Want: n, Listed: n, Reason: fmt.Sprintf("%d%% of %s", c.Percent, reason)}
	case c.N < 0:
		n := min(max(limit+c.N, 1), MaxInstances)
		return Sizing{Want: n, Listed: n, Reason: fmt.Sprintf("%s, less %d", reason, -c.N)}
	}
	limit = min(limit, MaxInstances)
	s := Sizing{Want: limit, Listed: limit, Reason: reason}
	if limit == cpus.Affinity {
		s.Follow = true
		s.Listed = cpus.ceiling(min(limit*headroom, MaxInstances))
	}
	return s
}

// Today returns how many of the listed instances this machine runs. An app that follows the machine may list more than run. A
// percentage, or -1, counts the CPUs of the day on which it was given.
func (c Count) Today(cpus CPUs, listed int) int {
	if s := c.Resolve(cpus); s.Follow {
		return min(s.Want, listed)
	}
	return listed
}

// ceiling keeps the headroom below a cpuset or a quota, which ConditionCPUs= would not see.
func (c CPUs) ceiling(n int) int {
	if c.Cpuset > 0 {
		n = min(n, c.Cpuset)
	}
	if c.Quota > 0 {
		n = min(n, max(int(math.Floor(c.Quota)), 1))
	}
	return n
}
