package control

import (
	"fmt"
	"math"
	"time"

	"github.com/godbus/dbus/v5"
)

// apply sets the fields of some properties: of all properties, or of the properties that a signal contains.
func (s *State) apply(props map[string]dbus.Variant) {
	for name, v := range props {
		s.set(name, v.Value())
	}
}

// set sets the field of one property. It ignores a value of an unexpected type, like a property that this version of
// systemd does not have.
func (s *State) set(name string, v any) {
	switch v := v.(type) {
	case string:
		s.setString(name, v)
	case uint64:
		s.setUint64(name, v)
	case uint32:
		switch name {
		case "MainPID":
			s.MainPID = int(v)
		case "NRestarts":
			s.Restarts = int(v)
		}
	case int32:
		switch name {
		case "ExecMainCode":
			s.ExecMainCode = int(v)
		case "ExecMainStatus":
			s.ExecMainStatus = int(v)
		case "KillSignal":
			s.StopSignal = int(v)
		}
	case bool:
		switch name {
		case "ConditionResult":
			s.ConditionResult = v
		case "NeedDaemonReload":
			s.NeedDaemonReload = v
		}
	case []string:
		switch name {
		case "DropInPaths":
			s.DropIns = v
		case "Environment":
			s.Environment = v
		case "Requires":
			s.Requires = sortedUnique(v)
		}
	case []any: // (uo), the job
		if id, ok := first[uint32](v); ok && name == "Job" {
			if s.JobID != id {
				s.Job = ""
			}
			s.JobID = id
		}
	case [][]any:
		s.setStructs(name, v)
	}
}

func (s *State) setStructs(name string, structs [][]any) {
	switch name {
	case "Listen": // a(ss), type and address
		s.Listen = nil
		for _, l := range structs {
			if len(l) == 2 {
				s.Listen = append(s.Listen, fmt.Sprint(l[1]))
			}
		}
	case "EnvironmentFiles": // a(sb), path and whether it may be missing
		s.EnvFiles = nil
		for _, f := range structs {
			if len(f) == 2 {
				optional, _ := f[1].(bool)
				s.EnvFiles = append(s.EnvFiles, EnvFile{fmt.Sprint(f[0]), optional})
			}
		}
	case "ExecStartPre": // a(sasbttttuii), of which the last two are code and status
		s.PreCode, s.PreStatus = 0, 0
		for _, command := range structs {
			if len(command) != 10 {
				continue
			}
			code, _ := command[8].(int32)
			status, _ := command[9].(int32)
			if code != 0 && (code != cldExited || status != 0) {
				s.PreCode, s.PreStatus = int(code), int(status)
			}
		}
	}
}

func (s *State) setString(name, v string) {
	switch name {
	case "LoadState":
		s.Load = Load(v)
	case "ActiveState":
		s.Active = Active(v)
	case "SubState":
		s.Sub = v
	case "Result":
		s.Result = v
	case "StatusText":
		s.StatusText = v
	case "FragmentPath":
		s.FragmentPath = v
	case "Type":
		s.Type = v
	case "ControlGroup":
		s.ControlGroup = v
	case "UnitFileState":
		s.FileState = v
	}
}

func (s *State) setUint64(name string, v uint64) {
	switch name {
	case "ActiveEnterTimestamp":
		s.ActiveSince = wallclock(v)
	case "StateChangeTimestamp":
		s.StateSince = wallclock(v)
	case "ConditionTimestamp":
		s.ConditionSince = wallclock(v)
	case "ActiveEnterTimestampMonotonic":
		s.activeMono = v
	case "InactiveExitTimestampMonotonic":
		s.exitMono = v
	case "StateChangeTimestampMonotonic":
		s.changeMono = v
	case "TimeoutStartUSec":
		s.StartTimeout = span(v)
	case "TimeoutStopUSec":
		s.StopTimeout = span(v)
	case "RestartUSec":
		s.RestartDelay = span(v)
	default:
		s.Limits.set(name, v)
	}
}

// set sets one limit. systemd sends the largest number if there is no limit.
func (l *Limits) set(name string, v uint64) {
	if v == infinity {
		v = 0
	}
	switch name {
	case "MemoryMax":
		l.MemoryMax = v
	case "MemoryHigh":
		l.MemoryHigh = v
	case "TasksMax":
		l.TasksMax = v
	case "CPUQuotaPerSecUSec":
		l.CPUQuota = span(v)
	}
}

// span returns a number of µs as a duration. It returns 0 for infinity, which means no limit.
func span(us uint64) time.Duration {
	if us > math.MaxInt64/1000 {
		return 0
	}
	return time.Duration(us) * time.Microsecond
}

// infinity is systemd's USEC_INFINITY.
const infinity = ^uint64(0)

// wallclock returns systemd's µs since 1970 as a time, and the zero time for 0, which means never.
func wallclock(us uint64) time.Time {
	if us == 0 || us == infinity {
		return time.Time{}
	}
	return time.UnixMicro(int64(us))
}

func first[T any](v []any) (T, bool) {
	if len(v) == 0 {
		var zero T
		return zero, false
	}
	t, ok := v[0].(T)
	return t, ok
}
