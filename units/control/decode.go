package control

import (
	"fmt"
	"math"
	"time"

	"github.com/godbus/dbus/v5"
)

// The map fields maps the name of a D-Bus property to a function that returns a pointer to its field.
var fields = map[string]func(*State) any{
	"LoadState":                      func(s *State) any { return (*string)(&s.Load) },
	"ActiveState":                    func(s *State) any { return (*string)(&s.Active) },
	"SubState":                       func(s *State) any { return &s.Sub },
	"Result":                         func(s *State) any { return &s.Result },
	"StatusText":                     func(s *State) any { return &s.StatusText },
	"FragmentPath":                   func(s *State) any { return &s.FragmentPath },
	"Type":                           func(s *State) any { return &s.Type },
	"ControlGroup":                   func(s *State) any { return &s.ControlGroup },
	"UnitFileState":                  func(s *State) any { return &s.FileState },
	"MainPID":                        func(s *State) any { return &s.MainPID },
	"NRestarts":                      func(s *State) any { return &s.Restarts },
	"ExecMainCode":                   func(s *State) any { return &s.ExecMainCode },
	"ExecMainStatus":                 func(s *State) any { return &s.ExecMainStatus },
	"KillSignal":                     func(s *State) any { return &s.StopSignal },
	"ConditionResult":                func(s *State) any { return &s.ConditionResult },
	"NeedDaemonReload":               func(s *State) any { return &s.NeedDaemonReload },
	"DropInPaths":                    func(s *State) any { return &s.DropIns },
	"Environment":                    func(s *State) any { return &s.Environment },
	"ActiveEnterTimestamp":           func(s *State) any { return &s.ActiveSince },
	"StateChangeTimestamp":           func(s *State) any { return &s.StateSince },
	"ConditionTimestamp":             func(s *State) any { return &s.ConditionSince },
	"ActiveEnterTimestampMonotonic":  func(s *State) any { return &s.activeMono },
	"InactiveExitTimestampMonotonic": func(s *State) any { return &s.exitMono },
	"StateChangeTimestampMonotonic":  func(s *State) any { return &s.changeMono },
	"TimeoutStartUSec":               func(s *State) any { return &s.StartTimeout },
	"TimeoutStopUSec":                func(s *State) any { return &s.StopTimeout },
	"RestartUSec":                    func(s *State) any { return &s.RestartDelay },
	"MemoryMax":                      func(s *State) any { return &s.Limits.MemoryMax },
	"MemoryHigh":                     func(s *State) any { return &s.Limits.MemoryHigh },
	"TasksMax":                       func(s *State) any { return &s.Limits.TasksMax },
	"CPUQuotaPerSecUSec":             func(s *State) any { return &s.Limits.CPUQuota },
}

// The method apply sets the fields of the given properties, and ignores properties without a field and values of an
// unexpected type.
func (s *State) apply(props map[string]dbus.Variant) {
	for name, v := range props {
		if field, ok := fields[name]; ok {
			setField(field(s), v.Value())
		} else {
			s.setCompound(name, v.Value())
		}
	}
}

func setField(field, value any) {
	switch v := value.(type) {
	case string:
		assign(field, v)
	case bool:
		assign(field, v)
	case []string:
		assign(field, v)
	case int32:
		assign(field, int(v))
	case uint32:
		assign(field, int(v))
	case uint64:
		assign(field, wallclock(v))
		assign(field, span(v))
		if v == infinity {
			v = 0 // no limit
		}
		assign(field, v)
	}
}

// The function assign stores the value in the field if both have the same type.
func assign[T any](field any, value T) {
	if p, ok := field.(*T); ok {
		*p = value
	}
}

// setCompound sets the fields of properties that are lists or structs.
func (s *State) setCompound(name string, value any) {
	structs, _ := value.([][]any)
	switch name {
	case "Requires": // as
		names, _ := value.([]string)
		s.Requires = sortedUnique(names)
	case "Job": // (uo), number and object path
		if job, _ := value.([]any); len(job) == 2 {
			id, _ := job[0].(uint32)
			if s.JobID != id {
				s.Job = ""
			}
			s.JobID = id
		}
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

// The function span returns a number of µs as a duration, and 0 for infinity, which means no limit.
func span(us uint64) time.Duration {
	if us > math.MaxInt64/1000 {
		return 0
	}
	return time.Duration(us) * time.Microsecond
}

// infinity is systemd's USEC_INFINITY.
const infinity = ^uint64(0)

// wallclock returns systemd's µs since 1970 as a time. wallclock returns the zero time for 0, which means never.
func wallclock(us uint64) time.Time {
	if us == 0 || us == infinity {
		return time.Time{}
	}
	return time.UnixMicro(int64(us))
}
