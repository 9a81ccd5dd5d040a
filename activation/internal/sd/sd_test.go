package sd

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// fake is a process with pid 42 whose open descriptors are the keys of fds.
type fake struct {
	vars    map[string]string
	fds     map[int]Kind
	pidfdID uint64 // 0: no pidfs
	cloexec []int
}

func (f *fake) env() Env {
	return Env{
		Lookup: func(name string) (string, bool) { v, ok := f.vars[name]; return v, ok },
		Unset:  func(name string) error { delete(f.vars, name); return nil },
		Pid:    func() int { return 42 },
		PidfdID: func() (uint64, bool) {
			return f.pidfdID, f.pidfdID != 0
		},
		Probe: func(fd int) (Kind, string, error) {
			k, ok := f.fds[fd]
			if !ok {
				return Other, "", errors.New("bad file descriptor")
			}
			return k, "something", nil
		},
		CloseOnExec: func(fd int) error { f.cloexec = append(f.cloexec, fd); return nil },
	}
}

func TestReceive(t *testing.T) {
	http := map[int]Kind{3: Listener}
	three := map[int]Kind{3: Listener, 4: Packet, 5: Other}
	for _, test := range []struct {
		name    string
		vars    string // environment variables as NAME=VALUE, separated by spaces
		fds     map[int]Kind
		pidfdID uint64
		want    string // the received descriptors as text, or a part of the error
		not     bool   // the error wraps ErrNotActivated
	}{
		{name: "nothing", want: "LISTEN_PID is not set", not: true},
		{name: "one", vars: "LISTEN_PID=42 LISTEN_FDS=1 LISTEN_FDNAMES=http", fds: http, want: `fd 3 ("http")/1`},
		{name: "several, a name twice", vars: "LISTEN_PID=42 LISTEN_FDS=3 LISTEN_FDNAMES=a:b:a", fds: three,
			want: `fd 3 ("a")/1 fd 4 ("b")/2 fd 5 ("a")/0`},
		{name: "no names", vars: "LISTEN_PID=42 LISTEN_FDS=1", fds: http, want: `fd 3 ("unknown")/1`},
		{name: "empty name", vars: "LISTEN_PID=42 LISTEN_FDS=1 LISTEN_FDNAMES=", fds: http, want: `fd 3 ("")/1`},
		{name: "zero", vars: "LISTEN_PID=42 LISTEN_FDS=0", want: "LISTEN_FDS is 0", not: true},
		{name: "no count", vars: "LISTEN_PID=42", want: "LISTEN_FDS is not set", not: true},
		{name: "no pid", vars: "LISTEN_FDS=1", fds: http, want: "LISTEN_PID is not set", not: true},
		{name: "another process", vars: "LISTEN_PID=41 LISTEN_FDS=1", fds: http, want: "LISTEN_PID is 41 and this process is 42",
			not: true},
		{name: "pid is a word", vars: "LISTEN_PID=me LISTEN_FDS=1", fds: http, want: `LISTEN_PID="me"`},
		{name: "pid zero", vars: "LISTEN_PID=0 LISTEN_FDS=1", fds: http, want: `LISTEN_PID="0"`},
		{name: "count negative", vars: "LISTEN_PID=42 LISTEN_FDS=-1", fds: http, want: `LISTEN_FDS="-1"`},
		{name: "count too large", vars: "LISTEN_PID=42 LISTEN_FDS=4294967299", fds: http, want: `LISTEN_FDS="4294967299"`},
		{name: "count large, no names", vars: "LISTEN_PID=42 LISTEN_FDS=2147483647", fds: http, want: "more than 65536"},
		{name: "more names than descriptors", vars: "LISTEN_PID=42 LISTEN_FDS=1 LISTEN_FDNAMES=a:b", fds: http, want: "has 2 names for 1"},
		{name: "fewer names", vars: "LISTEN_PID=42 LISTEN_FDS=3 LISTEN_FDNAMES=a:b", fds: three, want: "has 2 names for 3"},
		{name: "not open", vars: "LISTEN_PID=42 LISTEN_FDS=2 LISTEN_FDNAMES=a:b", fds: http,
			want: `fd 4 ("b") was passed but cannot be used`},
		{name: "pidfd of this process", vars: "LISTEN_PID=42 LISTEN_FDS=1 LISTEN_PIDFDID=77", fds: http, pidfdID: 77,
			want: `fd 3 ("unknown")/1`},
		{name: "pidfd of an earlier process", vars: "LISTEN_PID=42 LISTEN_FDS=1 LISTEN_PIDFDID=76", fds: http,
			pidfdID: 77, want: "LISTEN_PIDFDID is 76", not: true},
		{name: "pidfd on an old kernel", vars: "LISTEN_PID=42 LISTEN_FDS=1 LISTEN_PIDFDID=76", fds: http, want: `fd 3 ("unknown")/1`},
		{name: "pidfd is a word", vars: "LISTEN_PID=42 LISTEN_FDS=1 LISTEN_PIDFDID=x", fds: http, want: `LISTEN_PIDFDID="x"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := &fake{vars: assignments(test.vars), fds: test.fds, pidfdID: test.pidfdID}
			passed, err := Receive(f.env())
			if got := errors.Is(err, ErrNotActivated); got != test.not {
				t.Errorf("errors.Is(%v, ErrNotActivated) = %v, want %v", err, got, test.not)
			}
			got := render(passed)
			if err != nil {
				got = err.Error()
			}
			if err == nil && got != test.want || !strings.Contains(got, test.want) {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if len(f.vars) > 0 {
				t.Errorf("left in the environment: %v", f.vars)
			}
			if err == nil && len(f.cloexec) != len(passed) {
				t.Errorf("close-on-exec is set on %v, want all of %v", f.cloexec, passed)
			}
			if errors.Is(err, ErrNotActivated) && len(f.cloexec) > 0 {
				t.Errorf("descriptors of another process were changed: %v", f.cloexec)
			}
		})
	}
}

func assignments(text string) map[string]string {
	vars := make(map[string]string)
	for _, field := range strings.Fields(text) {
		name, value, _ := strings.Cut(field, "=")
		vars[name] = value
	}
	return vars
}

func render(passed []Passed) string {
	var words []string
	for _, p := range passed {
		words = append(words, fmt.Sprintf("%v/%d", p, p.Kind))
	}
	return strings.Join(words, " ")
}

func TestWatchdog(t *testing.T) {
	for _, test := range []struct {
		vars string
		want time.Duration
	}{
		{"", 0},
		{"WATCHDOG_USEC=20000000", 20 * time.Second},
		{"WATCHDOG_USEC=20000000 WATCHDOG_PID=42", 20 * time.Second},
		{"WATCHDOG_USEC=20000000 WATCHDOG_PID=41", 0},
		{"WATCHDOG_USEC=20000000 WATCHDOG_PID=", 0},
		{"WATCHDOG_USEC=0", 0},
		{"WATCHDOG_USEC=-5", 0},
		{"WATCHDOG_USEC=soon", 0},
		{"WATCHDOG_USEC=18446744073709551615", 0},
		{"WATCHDOG_USEC=9223372036854775807", 0},
	} {
		f := &fake{vars: assignments(test.vars)}
		if got, on := Watchdog(f.env()); got != test.want || on != (test.want > 0) {
			t.Errorf("%s: got %v, %v, want %v", test.vars, got, on, test.want)
		}
	}
}

// FuzzEnv calls Receive with arbitrary values of the variables. Receive must unset the
// variables. Receive must return an error, or open descriptors with consecutive numbers
// and with the names in LISTEN_FDNAMES.
func FuzzEnv(f *testing.F) {
	f.Add("42", "2", "a:b", "", true)
	f.Add("42", "1", "", "77", false)
	f.Add("42", "-1", ":::", "x", true)
	f.Add("00042", "+2", "a:b", "0", true)
	f.Fuzz(func(t *testing.T, pid, fds, names, pidfd string, named bool) {
		p := &fake{fds: map[int]Kind{3: Listener, 4: Packet, 5: Other}, pidfdID: 77}
		p.vars = map[string]string{"LISTEN_PID": pid, "LISTEN_FDS": fds, "OTHER": "kept"}
		if named {
			p.vars["LISTEN_FDNAMES"] = names
		}
		if pidfd != "" {
			p.vars["LISTEN_PIDFDID"] = pidfd
		}
		passed, err := Receive(p.env())
		if len(p.vars) != 1 {
			t.Errorf("left in the environment: %q", p.vars)
		}
		if (err == nil) != (len(passed) > 0) {
			t.Errorf("got %d descriptors and error %v", len(passed), err)
		}
		var back []string
		for i, d := range passed {
			if _, open := p.fds[d.FD]; d.FD != FirstFD+i || !open {
				t.Errorf("descriptor %d has the number %d (open: %v), want the open number %d", i, d.FD, open, FirstFD+i)
			}
			back = append(back, d.Name)
		}
		if named && err == nil && strings.Join(back, ":") != names {
			t.Errorf("names %q became %q", names, back)
		}
	})
}
