// Package sd implements the two protocols between systemd and a worker: passed
// descriptors, which begin at number 3 (sd_listen_fds(3)), and messages to NOTIFY_SOCKET
// (sd_notify(3)).
//
// The package does not import net, net/http or crypto, so that the shim, which runs next
// to each worker, stays small. A test of package activation checks the imports.
//
// After [Receive], LISTEN_* is unset and each passed descriptor is close-on-exec, even if
// Receive fails. No function changes O_NONBLOCK: the flag belongs to the open file
// description, which PID 1 and all workers share.
package sd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// FirstFD is the number of the first passed descriptor (SD_LISTEN_FDS_START in
// sd_listen_fds(3)).
const FirstFD = 3

// ErrNotActivated means that systemd did not pass descriptors to this process. An error
// that wraps ErrNotActivated contains the reason.
var ErrNotActivated = errors.New("not socket-activated")

// Kind is the kind of a passed descriptor.
type Kind int

// The kinds of passed descriptors.
const (
	Other    Kind = iota // any other descriptor, such as a FIFO or a connected socket
	Listener             // a stream or seqpacket socket on which listen(2) was called
	Packet               // a datagram socket
)

// Passed is a descriptor that systemd has passed. It is open and close-on-exec.
type Passed struct {
	FD   int
	Name string // FileDescriptorName= of systemd.socket(5); "unknown" if systemd does not pass names (before 227)
	Kind Kind
	What string // the kind in words, with an article: "a FIFO"
}

// String returns the number and the name of the descriptor for error messages, as in fd 4
// ("http").
func (p Passed) String() string {
	return fmt.Sprintf("fd %d (%q)", p.FD, p.Name)
}

// Env contains the system functions that this package uses. [System] returns the functions
// of the operating system.
type Env struct {
	Lookup      func(name string) (value string, ok bool)
	Unset       func(name string) error
	Pid         func() int
	PidfdID     func() (id uint64, ok bool)                   // inode number of a pidfd of this process; false if the kernel has no pidfs
	Probe       func(fd int) (k Kind, what string, err error) // err is set if fd is not open
	CloseOnExec func(fd int) error
}

// Receive takes over the descriptors that systemd passed to this process, in order.
// Receive always unsets LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES and LISTEN_PIDFDID, so that
// a child process does not use these variables.
//
// The error wraps ErrNotActivated if no descriptor was passed to this process. Any other
// error means that a variable is invalid or that a descriptor cannot be used, and contains
// the name of this variable or descriptor. After an error, Receive does not close
// descriptors, because they may belong to other code.
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

// The function parse returns the descriptors that LISTEN_* describes. It does not check the
// descriptors.
func parse(e Env) ([]Passed, error) {
	if err := checkProcess(e); err != nil {
		return nil, err
	}
	value, ok := e.Lookup("LISTEN_FDS")
	if !ok {
		return nil, fmt.Errorf("%w: LISTEN_FDS is not set", ErrNotActivated)
	}
	// fs.nr_open is less than 2^31, so each valid count has at most 31 bits.
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return nil, fmt.Errorf("LISTEN_FDS=%q: invalid descriptor count", value)
	}
	if n == 0 {
		return nil, fmt.Errorf("%w: LISTEN_FDS is 0", ErrNotActivated)
	}
	names, named := e.Lookup("LISTEN_FDNAMES")
	list := strings.Split(names, ":")
	// Check n before memory is allocated for n descriptors, because n is untrusted.
	if named && uint64(len(list)) != n {
		return nil, fmt.Errorf("LISTEN_FDNAMES=%q has %d names for %d descriptors", names, len(list), n)
	}
	var passed []Passed
	for i := 0; i < int(n); i++ {
		p := Passed{FD: FirstFD + i, Name: "unknown"} // the same name as in sd_listen_fds_with_names(3)
		if named {
			p.Name = list[i]
		} else if i == maxUnnamed {
			return nil, fmt.Errorf("LISTEN_FDS=%d: more than %d descriptors without names", n, maxUnnamed)
		}
		passed = append(passed, p)
	}
	return passed, nil
}

// maxUnnamed limits the memory that Receive allocates for a wrong LISTEN_FDS. If
// LISTEN_FDNAMES is set (systemd 227 and later), the number of names is the limit.
const maxUnnamed = 1 << 16

// checkProcess returns an error unless LISTEN_PID is the ID of this process. It also checks
// LISTEN_PIDFDID (since systemd 259), because a process ID can be reused, but a pidfd ID
// cannot.
func checkProcess(e Env) error {
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
			"a launcher such as npm or a shell must exec the program", ErrNotActivated, pid, own)
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
			"the intended process has ended and its process ID was reused", ErrNotActivated, id, own)
	}
	return nil
}
