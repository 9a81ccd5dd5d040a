package config_test

import (
	"bytes"
	"regexp"
)

// The type archive is a txtar file: prose, then files, each after a line "-- NAME --".
type archive struct {
	prose []byte
	files []file
}

type file struct {
	name string
	data []byte
}

var marker = regexp.MustCompile(`(?m)^-- (.+) --\n`)

func parseArchive(data []byte) archive {
	var a archive
	at := marker.FindAllSubmatchIndex(data, -1)
	a.prose = data
	for i, m := range at {
		if i == 0 {
			a.prose = data[:m[0]]
		}
		end := len(data)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		a.files = append(a.files, file{string(data[m[2]:m[3]]), data[m[1]:end]})
	}
	return a
}

func (a archive) format() []byte {
	var b bytes.Buffer
	b.Write(a.prose)
	for _, f := range a.files {
		b.WriteString("-- " + f.name + " --\n")
		b.Write(f.data)
	}
	return b.Bytes()
}
