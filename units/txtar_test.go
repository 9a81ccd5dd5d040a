package units_test

import (
	"bytes"
	"strings"
)

// The type member is one file of a txtar archive. In the archive, the line "-- NAME --" comes before the contents.
type member struct {
	Name string
	Data []byte
}

// parseArchive splits a txtar archive into its prose and its members.
func parseArchive(data []byte) (prose string, members []member) {
	var text strings.Builder
	for line := range bytes.Lines(data) {
		s := strings.TrimRight(string(line), "\n")
		name, opened := strings.CutPrefix(s, "-- ")
		name, closed := strings.CutSuffix(name, " --")
		switch {
		case opened && closed:
			members = append(members, member{Name: strings.TrimSpace(name)})
		case members == nil:
			text.Write(line)
		default:
			m := &members[len(members)-1]
			m.Data = append(m.Data, line...)
		}
	}
	return text.String(), members
}

func formatArchive(prose string, members []member) []byte {
	var b bytes.Buffer
	b.WriteString(prose)
	for _, m := range members {
		b.WriteString("-- " + m.Name + " --\n")
		b.Write(m.Data)
		if len(m.Data) > 0 && m.Data[len(m.Data)-1] != '\n' {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}
