package pid1

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// socket is the private socket of PID 1, which root can use without a message bus.
const socket = "/run/systemd/private"

const (
	managerPath = "/org/freedesktop/systemd1"
	managerName = "org.freedesktop.systemd1.Manager"
	unitName    = "org.freedesktop.systemd1.Unit"
	serviceName = "org.freedesktop.systemd1.Service"
	jobName     = "org.freedesktop.systemd1.Job"
)

// conn is a connection to PID 1. PID 1 sends the signals of all units to this connection.
type conn struct {
	file   *os.File
	in     *bufio.Reader
	serial uint32
}

func dial(path string) (*conn, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, errors.New("opening a socket: " + err.Error())
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		unix.Close(fd)
		return nil, errors.New("connecting to " + path + ": " + err.Error())
	}
	c := &conn{file: os.NewFile(uintptr(fd), path)}
	c.in = bufio.NewReader(c.file)
	uid := ""
	for _, digit := range []byte(strconv.Itoa(os.Getuid())) {
		uid += strconv.FormatUint(uint64(digit), 16)
	}
	_, err = c.file.WriteString("\x00AUTH EXTERNAL " + uid + "\r\nBEGIN\r\n")
	if err == nil {
		var answer string
		if answer, err = c.in.ReadString('\n'); err == nil && !strings.HasPrefix(answer, "OK ") {
			err = errors.New("the service manager refuses the connection")
		}
	}
	if err != nil {
		c.file.Close()
		return nil, err
	}
	return c, nil
}

// The method send sends a call and returns the reply. The result changed reports whether a signal of the unit came before
// the reply.
func (c *conn) send(q call, unit string) (reply message, changed bool, err error) {
	c.serial++
	if _, err := c.file.Write(q.encode(c.serial)); err != nil {
		return message{}, false, err
	}
	for {
		m, err := readMessage(c.in)
		switch {
		case err != nil:
			return message{}, changed, err
		case m.kind == typeReturn:
			return m, changed, nil
		case m.kind == typeError:
			return message{}, changed, errMessage
		}
		changed = changed || m.isAbout(unit)
	}
}

// isAbout reports whether the header or the body of a signal contains unit, the object path of a unit.
func (m message) isAbout(unit string) bool {
	return bytes.Contains(m.fields, []byte(unit+"\x00")) || bytes.Contains(m.body, []byte(unit+"\x00"))
}

// The method get returns the value of a property.
func (c *conn) get(path, iface, name, unit string) (message, bool, error) {
	return c.send(call{path: path, iface: "org.freedesktop.DBus.Properties", member: "Get", words: []string{iface, name}}, unit)
}

// Restarts returns how often systemd has restarted a service in a row (NRestarts=).
func Restarts(unit string) (uint32, error) {
	c, err := dial(socket)
	if err != nil {
		return 0, err
	}
	defer c.file.Close()
	return c.restarts(unitPath(unit))
}

func (c *conn) restarts(path string) (uint32, error) {
	reply, _, err := c.get(path, serviceName, "NRestarts", path)
	if err != nil {
		return 0, err
	}
	return reply.number()
}

// ReleaseStart waits for the next start of a service that has just ended, and cancels the start job as soon as the start
// has begun. ReleaseStart does not cancel a job if the service is not started again, or if somebody else stops, starts or
// restarts the service. The parameter before is the result of [Restarts] at the end of the run.
func ReleaseStart(unit string, before uint32) error { return releaseStart(socket, unit, before) }

func releaseStart(socket, unit string, before uint32) error {
	c, err := dial(socket)
	if err != nil {
		return err
	}
	defer c.file.Close()
	for {
		next, changed, err := c.readUnit(unit, before)
		if err != nil || next == over {
			return err
		}
		for !changed {
			m, err := readMessage(c.in)
			if err != nil {
				return err
			}
			changed = m.isAbout(unitPath(unit))
		}
	}
}

// step is the next action of ReleaseStart after it has read the state of the unit.
type step int

const (
	wait step = iota
	release
	over
)

// nextStep returns the next step for a service with the given sub-state and job number (0 means no job). Only a job that
// has begun may be canceled, because canceling a job before its start prevents the restart.
func nextStep(sub string, job uint32) step {
	switch sub {
	case "condition", "start-pre", "start", "start-post":
		if job == 0 {
			return over
		}
		return release
	case "running", "exited", "reload", "dead", "failed":
		if job == 0 {
			return over
		}
	}
	return wait
}

// readUnit reads the state of the unit, and cancels the start job of the unit if the job has begun. The result changed
// reports whether PID 1 has sent a signal of the unit during the read.
func (c *conn) readUnit(unit string, before uint32) (next step, changed bool, err error) {
	path := unitPath(unit)
	reply, _, err := c.get(path, unitName, "SubState", path)
	if err != nil {
		return over, false, err
	}
	sub, err := reply.text()
	if err != nil {
		return over, false, err
	}
	reply, changed, err = c.get(path, unitName, "Job", path)
	if err != nil {
		return over, false, err
	}
	job, err := reply.job()
	if err != nil {
		return over, false, err
	}
	next = nextStep(sub, job)
	if next != release {
		return next, changed, nil
	}
	// NRestarts= increases only at a restart that systemd starts itself. At any other start, the number stays the same or
	// becomes 0.
	if n, err := c.restarts(path); err != nil || n == 0 || n == before {
		return over, false, err
	}
	return over, false, c.cancel(job, path)
}

// The method cancel cancels a start job of the unit.
func (c *conn) cancel(job uint32, path string) error {
	reply, _, err := c.get(managerPath+"/job/"+strconv.FormatUint(uint64(job), 10), jobName, "JobType", path)
	if err != nil {
		return nil // the job has ended
	}
	if kind, err := reply.text(); err != nil || kind != "start" {
		return err // somebody stops or restarts the unit
	}
	_, _, err = c.send(call{path: managerPath, iface: managerName, member: "CancelJob", number: job}, path)
	if err == errMessage {
		err = nil // the job has ended
	}
	return err
}

// unitPath returns the object path of a unit. unitPath escapes a digit at the beginning, and all bytes except letters and
// digits, in hexadecimal.
func unitPath(unit string) string {
	b := []byte(managerPath + "/unit/")
	for i := range len(unit) {
		c := unit[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' && i > 0 {
			b = append(b, c)
			continue
		}
		const hex = "0123456789abcdef"
		b = append(b, '_', hex[c>>4], hex[c&15])
	}
	return string(b)
}
