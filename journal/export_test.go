package journal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// The function encode returns entries in the export format of journalctl: text as NAME=value, and other values with
// their size.
func encode(entries ...Entry) []byte {
	var b bytes.Buffer
	for _, e := range entries {
		for _, f := range e.Fields {
			// Fuzzing creates fields with an empty name. The format supports them only as a
			// line.
			if f.Name == "" || utf8.Valid(f.Value) && bytes.IndexFunc(f.Value, func(r rune) bool { return r < ' ' && r != '\t' }) < 0 {
				fmt.Fprintf(&b, "%s=%s\n", f.Name, f.Value)
				continue
			}
			b.WriteString(f.Name + "\n")
			_ = binary.Write(&b, binary.LittleEndian, uint64(len(f.Value)))
			b.Write(f.Value)
			b.WriteByte('\n')
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// The function entry returns an entry with the given names and values.
func entry(pairs ...string) Entry {
	var e Entry
	for i := 0; i < len(pairs); i += 2 {
		e.Fields = append(e.Fields, Field{pairs[i], []byte(pairs[i+1])})
	}
	return e
}

// The function worker returns an entry of an instance of shop, with the number n and the fields that journald adds.
func worker(n int, instance, message string, more ...string) Entry {
	return entry(append([]string{
		"__CURSOR", fmt.Sprintf("s=1;i=%x", n), "__REALTIME_TIMESTAMP", fmt.Sprint(1795670167000000 + n*1500),
		"PRIORITY", "6", "_TRANSPORT", "stdout",
		"_SYSTEMD_UNIT", "shop@" + instance + ".service", "_SYSTEMD_SLICE", "clusterctl-shop.slice", "_PID", "26" + instance,
		"_STREAM_ID", "stream" + instance,
		"MESSAGE", message,
	}, more...)...)
}

func shop() Scope {
	return Scope{App: "shop", Instances: 2, Slice: "clusterctl-shop.slice", Units: []string{"shop.service", "shop.socket"}, UID: "1000"}
}
