package backoff

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/activation/shim/statefile"
)

const magic = "clusterctl-backoff 1\n"

// Encode returns the state as text, with one KEY=VALUE on each line.
func (s State) Encode() []byte {
	var b strings.Builder
	b.WriteString(magic)
	put := func(key, value string) { b.WriteString(key + "=" + value + "\n") }
	put("failures", strconv.Itoa(s.Failures))
	put("started", strconv.FormatInt(int64(s.Started), 10))
	put("next", strconv.FormatInt(int64(s.Next), 10))
	put("stop", strconv.Itoa(int(s.Stop)))
	put("gave-up", strconv.FormatBool(s.GaveUp))
	put("uptime", strconv.FormatInt(int64(s.Uptime), 10))
	put("result", clean(s.Result))
	put("status", clean(s.Status))
	b.WriteString("end\n")
	return []byte(b.String())
}

// clean replaces spaces, control characters and non-ASCII characters, so that the value is one word on one line.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s[:min(len(s), 64)])
}

// Decode reads the text of Encode. For any other text it returns the zero State and false, so a damaged file only ends the
// series.
func Decode(b []byte) (s State, ok bool) {
	text, found := strings.CutPrefix(string(b), magic)
	if !found {
		return State{}, false
	}
	text, found = strings.CutSuffix(text, "end\n")
	if !found {
		return State{}, false
	}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !s.set(key, value) {
			return State{}, false
		}
	}
	return s, true
}

func (s *State) set(key, value string) bool {
	switch key {
	case "gave-up":
		s.GaveUp = value == "true"
		return value == "true" || value == "false"
	case "result":
		s.Result = clean(value)
		return true
	case "status":
		s.Status = clean(value)
		return true
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return false
	}
	switch key {
	case "failures":
		s.Failures = int(min(n, maxFailures))
	case "started":
		s.Started = time.Duration(n)
	case "next":
		s.Next = time.Duration(n)
	case "stop":
		s.Stop = Stop(n)
		return n <= int64(ByItself)
	case "uptime":
		s.Uptime = time.Duration(n)
	}
	return true // the key may be one of a later version
}

// Load returns the state of an instance, or the zero State if the file cannot be read.
func Load(instance string) State {
	s, _ := Decode(statefile.Read(instance + contract.BackoffSuffix))
	return s
}

// Save replaces the state of an instance.
func Save(instance string, s State) error {
	return statefile.Replace(instance+contract.BackoffSuffix, s.Encode())
}

// Now returns the time of CLOCK_BOOTTIME.
func Now() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0, errors.New("reading CLOCK_BOOTTIME: " + err.Error())
	}
	return time.Duration(ts.Nano()), nil
}
