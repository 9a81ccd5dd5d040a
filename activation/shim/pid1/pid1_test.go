package pid1

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const unit = "web@1.service"

func TestUnitPath(t *testing.T) {
	for unit, want := range map[string]string{
		unit:                "web_401_2eservice",
		"my-shop@12.x":      "my_2dshop_4012_2ex",
		"9lives_@1.service": "_39lives_5f_401_2eservice",
	} {
		if got := unitPath(unit); got != "/org/freedesktop/systemd1/unit/"+want {
			t.Errorf("unitPath(%s) = %s, want the name %s", unit, got, want)
		}
	}
}

func TestNextStep(t *testing.T) {
	for _, c := range []struct {
		sub  string
		job  uint32
		want step
	}{
		{"stop-post", 0, wait}, {"stop-post", 7, wait}, {"auto-restart", 0, wait}, {"auto-restart", 7, wait},
		{"auto-restart-queued", 7, wait}, {"final-sigkill", 0, wait},
		{"start-pre", 7, release}, {"start", 7, release}, {"start", 0, over},
		{"running", 0, over}, {"failed", 0, over}, {"dead", 0, over}, {"dead", 7, wait}, {"exited", 0, over},
	} {
		if got := nextStep(c.sub, c.job); got != c.want {
			t.Errorf("%s with job %d: %v, want %v", c.sub, c.job, got, c.want)
		}
	}
}

// manager replies as PID 1 does. Each read of the sub-state returns the next element of subs. After a read of the job,
// manager also sends the signal that the unit has changed.
type manager struct {
	subs     []string
	kind     string
	restarts uint32
	canceled []uint32
}

func frame(kind byte, fields, body []byte) []byte {
	b := []byte{'l', kind, 0, 1}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	b = binary.LittleEndian.AppendUint32(b, 1)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(fields)))
	b = append(b, fields...)
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	return append(b, body...)
}

func text(s string) []byte {
	e := encoder{b: []byte("\x01s\x00\x00")}
	e.string(s)
	return e.b
}

func (m *manager) answer(q message) []byte {
	const signal = 4
	changed := frame(signal, []byte(unitPath(unit)+"\x00"), nil)
	switch {
	case bytes.Contains(q.body, []byte("SubState")):
		sub := m.subs[0]
		if len(m.subs) > 1 {
			m.subs = m.subs[1:]
		}
		other := frame(signal, []byte("/org/freedesktop/systemd1/unit/other\x00"), nil)
		return append(other, frame(typeReturn, nil, text(sub))...)
	case bytes.Contains(q.body, []byte("NRestarts")):
		e := encoder{b: []byte("\x01u\x00\x00")}
		e.uint32(m.restarts)
		return frame(typeReturn, nil, e.b)
	case bytes.Contains(q.body, []byte("JobType")):
		return frame(typeReturn, nil, text(m.kind))
	case bytes.Contains(q.fields, []byte("CancelJob")):
		m.canceled = append(m.canceled, q.order.Uint32(q.body))
		return frame(typeReturn, nil, nil)
	}
	e := encoder{b: []byte("\x04(uo)\x00\x00\x00")}
	e.uint32(42)
	e.string("/org/freedesktop/systemd1/job/42")
	return append(frame(typeReturn, nil, e.b), changed...)
}

func (m *manager) serve(t *testing.T, l net.Listener) {
	c, err := l.Accept()
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	in := bufio.NewReader(c)
	for range 2 {
		line, err := in.ReadString('\n')
		if err != nil || !strings.Contains(line, "AUTH EXTERNAL ") && line != "BEGIN\r\n" {
			t.Errorf("got %q, %v from the client, want the authentication", line, err)
		}
	}
	if _, err := c.Write([]byte("OK 00\r\n")); err != nil {
		t.Error(err)
	}
	for {
		q, err := readMessage(in)
		if err != nil {
			return
		}
		if _, err := c.Write(m.answer(q)); err != nil {
			return
		}
	}
}

func TestReleaseStart(t *testing.T) {
	for i, c := range []struct {
		manager
		want []uint32 // numbers of the canceled jobs
	}{
		{manager{subs: []string{"stop-post", "auto-restart", "auto-restart", "start-pre"}, kind: "start", restarts: 4}, []uint32{42}},
		{manager{subs: []string{"start"}, kind: "start", restarts: 5}, []uint32{42}},
		{manager{subs: []string{"auto-restart", "start"}, kind: "restart", restarts: 4}, nil},
		{manager{subs: []string{"stop-post", "dead", "start"}, kind: "start"}, nil},                 // started by hand at the end of a run
		{manager{subs: []string{"auto-restart", "dead", "start"}, kind: "start", restarts: 3}, nil}, // started by hand between two runs
	} {
		path := filepath.Join(t.TempDir(), strconv.Itoa(i))
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { defer close(done); c.serve(t, l) }()
		if err := releaseStart(path, unit, 3); err != nil {
			t.Error(err)
		}
		<-done
		l.Close()
		if !slices.Equal(c.canceled, c.want) {
			t.Errorf("case %d: canceled jobs %v, want %v", i, c.canceled, c.want)
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add(frame(typeReturn, []byte("fields"), text("start")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		m, err := readMessage(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			return
		}
		_, _ = m.text()
		_, _ = m.job()
		_, _ = m.number()
	})
}
