package backoff

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
)

// maxFile is far more than Encode ever writes.
const maxFile = 4096

const magic = "clusterctl-backoff 1\n"

// Encode writes the state as text, one KEY=VALUE a line.
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

// clean keeps a word of systemd's on one line; nothing else is expected.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s[:min(len(s), 64)])
}

// Decode reads what Encode wrote; ok is false for anything else, and then the
// state is the zero State: a damaged file forgets the series and does no more.
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
		return n <= int64(Alone)
	case "uptime":
		s.Uptime = time.Duration(n)
	}
	return true // a key of a later version
}

// Load reads the state of an instance. Whatever is wrong with the file, the result is
// usable: the zero State.
func Load(instance string) State {
	fd, err := unix.Open(instance+contract.BackoffSuffix, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return State{}
	}
	defer unix.Close(fd)
	var b [maxFile]byte
	n, err := unix.Read(fd, b[:])
	if err != nil {
		return State{}
	}
	s, _ := Decode(b[:n])
	return s
}

// Save replaces the state of an instance. It does not call fsync: /run is in memory.
func Save(instance string, s State) error {
	name := instance + contract.BackoffSuffix
	temp := name + contract.NewSuffix
	// A left-over of a killed writer, or anything else in the way, is replaced.
	_ = unix.Unlink(temp)
	fd, err := unix.Open(temp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return errors.New("writing " + temp + ": " + err.Error())
	}
	b := s.Encode()
	n, err := unix.Write(fd, b)
	cerr := unix.Close(fd)
	if err == nil && n < len(b) {
		err = unix.ENOSPC
	}
	if err == nil {
		err = cerr
	}
	if err != nil {
		return errors.New("writing " + temp + ": " + err.Error())
	}
	if err := unix.Rename(temp, name); err != nil {
		return errors.New("renaming " + temp + ": " + err.Error())
	}
	return nil
}

// Remove forgets the series, as "clusterctl reset" does.
func Remove(instance string) error {
	if err := unix.Unlink(instance + contract.BackoffSuffix); err != nil && err != unix.ENOENT {
		return errors.New("removing " + instance + contract.BackoffSuffix + ": " + err.Error())
	}
	return nil
}

// Now is the time on CLOCK_BOOTTIME.
func Now() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0, errors.New("reading CLOCK_BOOTTIME: " + err.Error())
	}
	return time.Duration(ts.Nano()), nil
}
