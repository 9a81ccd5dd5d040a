package journal

import (
	"bytes"
	"slices"
)

// maxJoined limits the length of a joined line. A longer line is returned in pieces of about this size.
const maxJoined = 8 << 20

// joiner joins the pieces of a line that journald has split, because the line is longer than LineMax= (48 KiB by
// default). All pieces except the last have _LINE_BREAK=line-max (since systemd 235). Pieces of other processes may be
// between them.
//
// A line of exactly LineMax= bytes looks like the first piece of a longer line, so the joiner appends the next line of
// the process.
type joiner struct {
	incomplete map[string]*Line
	// The field order contains the keys of the map incomplete, oldest first.
	order []string
}

// The method add adds a piece. It returns the complete line, or nil if more pieces follow.
func (j *joiner) add(l *Line) *Line {
	stream := l.Get("_STREAM_ID")
	more := string(l.Get("_LINE_BREAK")) == "line-max"
	if len(stream) == 0 || !more && len(j.incomplete) == 0 {
		return l
	}
	first, ok := j.incomplete[string(stream)]
	switch {
	case !ok && !more:
		return l
	case !ok:
		c := *l
		c.Entry = l.Clone()
		j.incomplete[string(stream)] = &c
		j.order = append(j.order, string(stream))
		return nil
	}
	message := append(first.Get("MESSAGE"), l.Get("MESSAGE")...)
	first.set("MESSAGE", message)
	// After an interruption, reading must continue after the last piece.
	first.set("__CURSOR", bytes.Clone(l.Cursor()))
	if more && len(message) < maxJoined {
		return nil
	}
	return j.release(string(stream))
}

func (j *joiner) release(stream string) *Line {
	l := j.incomplete[stream]
	delete(j.incomplete, stream)
	j.order = slices.DeleteFunc(j.order, func(s string) bool { return s == stream })
	return l
}

// The method flush returns the lines whose last piece is missing, oldest first.
func (j *joiner) flush() []*Line {
	var lines []*Line
	for len(j.order) > 0 {
		lines = append(lines, j.release(j.order[0]))
	}
	return lines
}
