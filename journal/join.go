package journal

import (
	"bytes"
	"slices"
)

// maxJoined limits the length of a joined line. A longer line is returned in pieces of this size.
const maxJoined = 8 << 20

// joiner joins lines that journald has cut because they are longer than LineMax= (48 KiB by default): all pieces except
// the last have _LINE_BREAK=line-max (since 235). Pieces of several processes may be mixed.
//
// journald drops the empty rest of a line of exactly LineMax= bytes, so the joiner takes such a line for the first piece
// of a longer one, and appends the next line of the process.
type joiner struct {
	held map[string]*Line
	// order contains the keys of held, oldest first.
	order []string
}

// add returns the line that is complete with this piece, or nil if more pieces follow.
func (j *joiner) add(l *Line) *Line {
	stream := l.Get("_STREAM_ID")
	more := string(l.Get("_LINE_BREAK")) == "line-max"
	if len(stream) == 0 || !more && len(j.held) == 0 {
		return l
	}
	first, ok := j.held[string(stream)]
	switch {
	case !ok && !more:
		return l
	case !ok:
		c := *l
		c.Entry = l.Clone()
		j.held[string(stream)] = &c
		j.order = append(j.order, string(stream))
		return nil
	}
	message := append(first.Get("MESSAGE"), l.Get("MESSAGE")...)
	first.set("MESSAGE", message)
	// Reading continues after the last piece.
	first.set("__CURSOR", bytes.Clone(l.Cursor()))
	if more && len(message) < maxJoined {
		return nil
	}
	return j.release(string(stream))
}

func (j *joiner) release(stream string) *Line {
	l := j.held[stream]
	delete(j.held, stream)
	j.order = slices.DeleteFunc(j.order, func(s string) bool { return s == stream })
	return l
}

// rest returns the lines whose last piece is missing.
func (j *joiner) rest() []*Line {
	var lines []*Line
	for len(j.order) > 0 {
		lines = append(lines, j.release(j.order[0]))
	}
	return lines
}
