package sd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// FirstFD is the number of the first passed descriptor, SD_LISTEN_FDS_START in
// sd_listen_fds(3).
const FirstFD = 3

// ErrNotActivated says that no descriptors were passed to this process. What
// wraps it says why not.
var ErrNotActivated = errors.New("not socket-activated")

// Kind is what a passed descriptor can be used for.
type Kind int

// The kinds of passed descriptors.
const (
	Other    Kind = iota // a FIFO, a connected socket, a file: see Passed.What
	Listener             // a stream or seqpacket socket on which listen(2) was called
	Packet               // a datagram socket
)

// A Passed descriptor, open and close-on-exec.
type Passed struct {
	FD   int
	Name string // FileDescriptorName= of systemd.socket(5); "unknown" when systemd gave no names (before 227)
	Kind Kind
	What string // the kind in words, with an article: "a FIFO"
}

// String says which descriptor it is, as errors name it: fd 4 ("http").
func (p Passed) String() string {
	return fmt.Sprintf("fd %d (%q)", p.FD, p.Name)
}

// Env is all that Receive and Watchdog need of the system. [System] is the real one.
type Env struct {
	Lookup      func(name string) (value string, ok bool)
	Unset       func(name string) error
	Pid         func() int
	PidfdID     func() (id uint64, ok bool)                   // inode of a pidfd of this process; !ok where the kernel has no pidfs
	Probe       func(fd int) (k Kind, what string, err error) // err when fd is not open
	CloseOnExec func(fd int) error
}

// Receive takes over the descriptors that systemd passed to this process, in
// their order, and unsets LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES and
// LISTEN_PIDFDID on every path, so that a child never takes them for its own.
//
// It fails with ErrNotActivated when nothing was passed, or not to this process.
// Any other error means that the variables contradict each other or the open
// descriptors; it names the first such variable or descriptor. After an error
// nothing is closed: the numbers may belong to somebody else.
func Receive(e Env) ([]Passed, error) {
	passed, err := parse(e)
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"} {
		if uerr := e.Unset(name); uerr != nil && err == nil {
			err = fmt.Errorf("unsetting %s: %w", name, uerr)
		}
	}
	if err != nil {
		return nil, err
	}
	for i := range passed {
		p := &passed[i]
		if p.Kind, p.What, err = e.Probe(p.FD); err != nil {
			return nil, fmt.Errorf("%v was passed but cannot be used: %w", *p, err)
		}
		if err := e.CloseOnExec(p.FD); err != nil {
			return nil, fmt.Errorf("setting close-on-exec on %v: %w", *p, err)
		}
	}
	return passed, nil
}

// parse reads LISTEN_* and touches nothing.
func parse(e Env) ([]Passed, error) {
	if err := addressed(e); err != nil {
		return nil, err
	}
	value, ok := e.Lookup("LISTEN_FDS")
	if !ok {
		return nil, fmt.Errorf("%w: LISTEN_FDS is not set", ErrNotActivated)
	}
	// The kernel's fs.nr_open is below 2^31, so 31 bits hold every count that can be true.
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return nil, fmt.Errorf("LISTEN_FDS=%q: not a number of descriptors", value)
	}
	if n == 0 {
		return nil, fmt.Errorf("%w: LISTEN_FDS is 0", ErrNotActivated)
	}
	names, named := e.Lookup("LISTEN_FDNAMES")
	list := strings.Split(names, ":")
	// Compared before anything of size n is made: n comes from outside.
	if named && uint64(len(list)) != n {
		return nil, fmt.Errorf("LISTEN_FDNAMES=%q has %d names for %d descriptors", names, len(list), n)
	}
	var passed []Passed
	for i := 0; i < int(n); i++ {
		p := Passed{FD: FirstFD + i, Name: "unknown"} // as sd_listen_fds_with_names(3)
		if named {
			p.Name = list[i]
		} else if i == maxUnnamed {
			return nil, fmt.Errorf("LISTEN_FDS=%d: more than %d descriptors without names", n, maxUnnamed)
		}
		passed = append(passed, p)
	}
	return passed, nil
}

// maxUnnamed bounds what a wrong LISTEN_FDS can make us allocate. With names, the
// length of the names is the bound; systemd has given them since 227.
const maxUnnamed = 1 << 16

// addressed says whether LISTEN_PID and, since systemd 259, LISTEN_PIDFDID mean
// this process. The second one is never reused, the first one can be.
func addressed(e Env) error {
	value, ok := e.Lookup("LISTEN_PID")
	if !ok {
		return fmt.Errorf("%w: LISTEN_PID is not set", ErrNotActivated)
	}
	pid, err := strconv.ParseUint(value, 10, 31)
	if err != nil || pid == 0 {
		return fmt.Errorf("LISTEN_PID=%q: not a process id", value)
	}
	if own := e.Pid(); int(pid) != own {
		return fmt.Errorf("%w: LISTEN_PID is %d and this process is %d: "+
			"a launcher such as npm or a shell stands between, and has to exec the program", ErrNotActivated, pid, own)
	}
	value, ok = e.Lookup("LISTEN_PIDFDID")
	if !ok {
		return nil
	}
	id, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return fmt.Errorf("LISTEN_PIDFDID=%q: not an inode number", value)
	}
	if own, ok := e.PidfdID(); ok && own != id {
		return fmt.Errorf("%w: LISTEN_PIDFDID is %d and this process is %d: "+
			"the process that it was for is gone, and its number was given away again", ErrNotActivated, id, own)
	}
	return nil
}
