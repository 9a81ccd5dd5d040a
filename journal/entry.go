package journal

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Field is one field of an entry. Its value may contain any bytes.
type Field struct {
	Name  string
	Value []byte
}

// Entry is one entry of the journal (systemd.journal-fields(7)). It may contain a field several times.
type Entry struct {
	Fields []Field
	// Cut is true if a field was longer than [MaxField] and its end was dropped.
	Cut bool
}

// Get returns the first value of a field, or nil.
func (e *Entry) Get(name string) []byte {
	for i := range e.Fields {
		if e.Fields[i].Name == name {
			return e.Fields[i].Value
		}
	}
	return nil
}

// set replaces the first value of a field, or adds the field if it is missing.
func (e *Entry) set(name string, value []byte) {
	for i := range e.Fields {
		if e.Fields[i].Name == name {
			e.Fields[i].Value = value
			return
		}
	}
	e.Fields = append(e.Fields, Field{name, value})
}

// Clone returns a copy that stays valid when the [Decoder] reads the next entry.
func (e *Entry) Clone() *Entry {
	c := &Entry{Fields: slices.Clone(e.Fields), Cut: e.Cut}
	for i := range c.Fields {
		c.Fields[i].Value = bytes.Clone(c.Fields[i].Value)
	}
	return c
}

// Time returns the time at which journald received the entry.
func (e *Entry) Time() time.Time {
	n, _ := strconv.ParseInt(string(e.Get("__REALTIME_TIMESTAMP")), 10, 64)
	return time.UnixMicro(n)
}

// Cursor returns the position of the entry in the journal.
func (e *Entry) Cursor() []byte { return e.Get("__CURSOR") }

// Priority returns the priority of syslog(3), 0 (emerg) to 7 (debug). If the entry has no priority, Priority returns 6
// (info).
func (e *Entry) Priority() int {
	if p := e.Get("PRIORITY"); len(p) == 1 && p[0] >= '0' && p[0] <= '7' {
		return int(p[0] - '0')
	}
	return 6
}

// Source is the kind of program that wrote an entry.
type Source int

const (
	// Worker, the zero value, is a process of an instance.
	Worker Source = iota
	// Systemd is PID 1, which logs that an instance was started, has exited or was killed.
	Systemd
	// Journald is journald, which logs how many messages it has suppressed.
	Journald
)

func (s Source) String() string { return [...]string{"worker", "systemd", "journald"}[s] }

// suppressedID is SD_MESSAGE_JOURNAL_DROPPED of sd-messages.h. In an entry with this ID, journald reports the number of
// messages that its rate limit has dropped.
const suppressedID = "a596d6fe7bfa4994828e72309e95d61e"

// The method source returns who wrote an entry. An entry with the field UNIT comes from systemd if its process is PID
// 1, or is a process of root that runs systemd or systemd-executor: PID 1 forks such a process, which later becomes a
// worker. The field UNIT alone is not enough, because any process can send this field. If the process does not run as
// root, the source is Worker, because a worker can run the program of systemd.
func (e *Entry) source() Source {
	if string(e.Get("_TRANSPORT")) == "driver" && string(e.Get("MESSAGE_ID")) == suppressedID {
		return Journald
	}
	exe := strings.TrimPrefix(string(e.Get("_EXE")), "/usr")
	manager := exe == "/lib/systemd/systemd" || exe == "/lib/systemd/systemd-executor" // the executor exists since systemd 255
	if e.Get("UNIT") != nil && (string(e.Get("_PID")) == "1" || string(e.Get("_UID")) == "0" && manager) {
		return Systemd
	}
	return Worker
}
