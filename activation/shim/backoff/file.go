package backoff

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/activation/shim/statefile"
)

const magic = "clusterctl-backoff 1\n"

// The method encode returns the state as text, with one KEY=VALUE on each line.
func (s State) encode() []byte {
	var b strings.Builder
	b.WriteString(magic)
	put := func(key, value string) { b.WriteString(key + "=" + value + "\n") }
	put("failures", strconv.Itoa(s.Failures))
	put("started", strconv.FormatInt(int64(s.Started), 10))
	put("next", strconv.FormatInt(int64(s.Next), 10))
	put("stop", strconv.Itoa(int(s.Stop)))
	put("gave-up", strconv.FormatBool(s.GaveUp))
	put("uptime", strconv.FormatInt(int64(s.Uptime), 10))
	put("result", cleanText(s.Result))
	put("status", cleanText(s.Status))
	b.WriteString("end\n")
	return []byte(b.String())
}

// cleanText returns at most 64 bytes of s. It replaces control characters and non-ASCII characters by '?', so
// that the value stays on one line.
func cleanText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s[:min(len(s), 64)])
}

// The function decode reads the text of encode. For any other text, decode returns the zero State and false, so a damaged
// file only ends the series of short runs.
func decode(b []byte) (s State, ok bool) {
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
		s.Result = cleanText(value)
		return true
	case "status":
		s.Status = cleanText(value)
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
	return true // ignore a key of a later version
}

// Load returns the state of an instance, or the zero State if the file cannot be read.
func Load(instance string) State {
	s, _ := decode(statefile.Read(instance + contract.BackoffSuffix))
	return s
}

// Save replaces the state of an instance.
func Save(instance string, s State) error {
	return statefile.Replace(instance+contract.BackoffSuffix, s.encode())
}

// Now returns the time of CLOCK_BOOTTIME.
func Now() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0, errors.New("reading CLOCK_BOOTTIME: " + err.Error())
	}
	return time.Duration(ts.Nano()), nil
}

// Begin saves and returns the state and the decision for a start. The caller must wait for the delay and then call Started.
func Begin(instance string, p Policy) (State, Decision, error) {
	now, err := Now()
	if err != nil {
		return State{}, Decision{}, err
	}
	s, d := Plan(Load(instance), p, now)
	return s, d, Save(instance, s)
}

// Started records that the run begins now, after the delay.
func Started(instance string, s State) error {
	now, err := Now()
	if err != nil {
		return err
	}
	s.Started = now
	return Save(instance, s)
}

// Stopping records for ExecStop= why the run ends. The parameter stopRequested is true if the service manager stops the
// service, and false if the program has ended by itself.
func Stopping(instance string, stopRequested bool) error {
	s := Load(instance)
	s.Stop = ByItself
	if stopRequested {
		s.Stop = Requested
	}
	return Save(instance, s)
}

// Record saves the state after a run has ended, for ExecStopPost=.
func Record(instance string, p Policy, e Exit) error {
	now, err := Now()
	if err != nil {
		return err
	}
	return Save(instance, Ended(Load(instance), p, e, now))
}

// Prepare makes the directory of the app. Prepare also removes the directory, or the link to a directory, that earlier
// versions made at the path of the instance.
func Prepare(instance string) error {
	if err := MakeDirectory(instance); err != nil {
		return err
	}
	if _, err := os.Lstat(instance); err != nil {
		return nil
	}
	return os.RemoveAll(instance)
}

// MakeDirectory makes the directory of the app, "/run/clusterctl/shop" for the instance "/run/clusterctl/shop/1", which
// only root can write and everybody can read.
func MakeDirectory(instance string) error {
	unix.Umask(0o022) // with UMask= of the unit, other users could perhaps not read the files
	dir := filepath.Dir(instance)
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := unix.Mkdir(d, 0o755); err != nil && err != unix.EEXIST {
			return errors.New("making " + d + ": " + err.Error())
		}
	}
	// If the unit has a dynamic user, systemd 247 has made the directory, with UMask= of the unit.
	if err := unix.Chmod(dir, 0o755); err != nil {
		return errors.New("opening " + dir + ": " + err.Error())
	}
	return nil
}
