package journal

import "bytes"

// maxJoined bounds a line that is put together; what is longer comes in pieces of that size.
const maxJoined = 8 << 20

// joiner puts lines together that journald has cut because they are longer than LineMax= (48 KiB unless configured): each
// piece but the last has _LINE_BREAK=line-max (since 235). Pieces of several processes may be mixed.
//
// A line of exactly LineMax= bytes cannot be told from the first piece of a longer one, since journald drops the empty
// rest of it: the next line of the process is then appended.
type joiner struct {
	held map[string]*Line
	// order are the keys of held, oldest first.
	order []string
}

// add gives the line that is complete with this piece, or nil when there is more to come.
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
	// What follows is after the last piece.
	first.set("__CURSOR", bytes.Clone(l.Cursor()))
	if more && len(message) < maxJoined {
		return nil
	}
	return j.release(string(stream))
}

func (j *joiner) release(stream string) *Line {
	l := j.held[stream]
	delete(j.held, stream)
	for i, s := range j.order {
		if s == stream {
			j.order = append(j.order[:i], j.order[i+1:]...)
			break
		}
	}
	return l
}

// rest gives what is not complete and will not be.
func (j *joiner) rest() []*Line {
	var lines []*Line
	for len(j.order) > 0 {
		lines = append(lines, j.release(j.order[0]))
	}
	return lines
}
