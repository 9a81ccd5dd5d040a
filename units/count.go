package units

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/clusterctl/clusterctl/internal/text"
)

// MaxInstances is the maximum number of instances of an app.
const MaxInstances = 1000

// headroom is the number of instances per CPU in the drop-in of an app with the count "max". PID 1 skips the instances above
// the CPU count, and logs a line for each. If the machine later boots with up to twice as many CPUs, PID 1 starts more
// instances without clusterctl.
const headroom = 2

// Count is the number of instances as the user wrote it. The zero value means that the user did not write a number. Then the
// app has one instance, because many programs keep state in memory or in files that only one process may use.
type Count struct {
	// N is the number of instances if N is positive. If N is negative, the number is the CPU count plus N, at least one
	// (PM2's -1).
	N int
	// Percent, if positive, is a percentage of the CPU count. The number of instances is rounded down, and is at least one.
	Percent int
	// The field Max means one instance per CPU (max, and PM2's 0).
	Max bool
}

// The method Given reports whether the user wrote a number of instances.
func (c Count) Given() bool { return c != Count{} }

// ParseCount parses "max", "4", "0", "-1" or "50%".
func ParseCount(s string) (Count, error) {
	bad := func(why string) (Count, error) {
		return Count{}, fieldErrorf("instances", "use max, a number from 1 to "+strconv.Itoa(MaxInstances)+
			", -1 (one less than the number of CPUs) or 50%", "%q %s", s, why)
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
		return bad("must be between -" + strconv.Itoa(MaxInstances) + " and " + strconv.Itoa(MaxInstances))
	}
	return Count{N: n, Max: n == 0}, nil
}

// String returns the form that [ParseCount] parses to the same Count. A count that was not given becomes "1".
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

// CPUs holds three limits on the number of CPUs that an app can use.
type CPUs struct {
	// Affinity is the number of CPUs that PID 1 may run on. ConditionCPUs= counts the same CPUs.
	Affinity int
	// Cpuset is the number of CPUs in cpuset.cpus.effective of the slice; 0 means no limit.
	Cpuset int
	// Quota is the smallest CPU quota of the slice and its parents, in CPUs (cpu.max, CPUQuota=); 0 means no limit.
	Quota float64
}

// The method Limit returns the smallest of the three limits, at least 1, and the name of this limit for messages. A quota is
// rounded down: 1.5 CPUs are enough for one busy worker, but not for two.
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

// Sizing is the number of instances of an app on one machine.
type Sizing struct {
	// The field Want is the number of instances that should run on this machine with its present CPUs.
	Want int
	// The field Listed is the number of instances in the drop-in [Name.DropIn]. Listed is larger than Want if the app
	// follows the number of CPUs.
	Listed int
	// The field Follow means that the template contains ConditionCPUs=|>=%i (since 242).
	Follow bool
	// The field Reason explains Want, for example "2 CPUs".
	Reason string
}

// Resolve returns the number of instances for a machine. Only "max" can follow the number of CPUs, and only if the CPU count
// is the smallest limit: ConditionCPUs= ignores quotas and the cpuset of the slice, and cannot subtract.
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
		cpus.Affinity = min(limit*headroom, MaxInstances)
		s.Listed, _ = cpus.Limit() // ConditionCPUs= ignores the cpuset and the quota
	}
	return s
}

// The method Today returns how many of the listed instances run on this machine. If the app follows the number of CPUs, the
// result can be smaller than listed. All other counts do not depend on the
// current number of CPUs: clusterctl resolves a percentage or a negative count when the user sets it. For these counts, the
// result is the argument listed.
func (c Count) Today(cpus CPUs, listed int) int {
	if s := c.Resolve(cpus); s.Follow {
		return min(s.Want, listed)
	}
	return listed
}
