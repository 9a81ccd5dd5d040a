package journal

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// The function sample returns entries of workers, systemd and journald with all priorities and special characters.
func sample() []Entry {
	return []Entry{
		entry("__CURSOR", "s=1;i=1", "__REALTIME_TIMESTAMP", "1795670167912270", "PRIORITY", "6", "_TRANSPORT", "journal",
			"_PID", "1", "UNIT", "shop@1.service", "MESSAGE", "Started shop@1.service - shop instance 1."),
		worker(2, "1", "listening on 8080"),
		worker(3, "12", "a wider label"),
		worker(4, "2", "two\nlines\r\n"),
		worker(5, "1", "\x1b[31mred\x1b[0m \x1b[2J\x1b]0;title\x07 tab\there \x1b[8mhidden\x1b[0m"),
		worker(6, "1", "NUL \x00, bytes \xff\xfe, C1 \u009b, turned \u202etxet, wide 日本 😀, joined 👩\u200d💻"),
		worker(7, "1", "cut by a NUL", "_LINE_BREAK", "nul"),
		worker(8, "2", "careful", "PRIORITY", "4"),
		entry("__CURSOR", "s=1;i=9", "__REALTIME_TIMESTAMP", "1795670168000001", "PRIORITY", "3", "_TRANSPORT", "journal",
			"_SYSTEMD_UNIT", "shop@2.service", "_PID", "262",
			"MESSAGE", "payment failed", "USER_ID", "17", "REASON", "card declined", "EMPTY", "", "TAG", "b", "TAG", "a",
			"CODE_FILE", "pay.go", "CODE_LINE", "12", "BLOB", "\xff\x00", "CLUSTERCTL_APP", "shop"),
		worker(10, "1", "trace", "PRIORITY", "7"),
		entry("__CURSOR", "s=1;i=b", "__REALTIME_TIMESTAMP", "1795670169000000", "PRIORITY", "6", "_TRANSPORT", "driver",
			"MESSAGE_ID", suppressedID, "N_DROPPED", "266", "OBJECT_SYSTEMD_UNIT", "shop@1.service",
			"MESSAGE", "Suppressed 266 messages from shop@1.service"),
		entry("__CURSOR", "s=1;i=c", "__REALTIME_TIMESTAMP", "1795670170000000", "PRIORITY", "5", "_TRANSPORT", "journal",
			"_PID", "1", "UNIT", "shop.service", "MESSAGE", "shop.service: \x1b[1mreloaded"),
		worker(13, "2", ""),
	}
}

func lines(t *testing.T) []Line {
	t.Helper()
	s := newSorter([]Scope{shop()})
	var lines []Line
	for _, e := range sample() {
		if e.Get("PRIORITY") != nil {
			// The entry can have a second field PRIORITY. Use the last priority.
			for _, f := range e.Fields {
				if f.Name == "PRIORITY" {
					e.set("PRIORITY", f.Value)
				}
			}
		}
		l, ok := s.line(&e, true)
		if !ok {
			t.Fatalf("the entry %q does not belong to an app", e.Get("MESSAGE"))
		}
		lines = append(lines, l)
	}
	return lines
}

func timeFormat(t *testing.T, s string) TimeFormat {
	t.Helper()
	f, err := ParseTimeFormat(s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestFormats compares the lines of the function sample, in each format, with a golden file.
func TestFormats(t *testing.T) {
	zone := time.FixedZone("CET", 3600)
	mark := regexp.MustCompile("listening|lines")
	formats := map[string]func([]byte, *Line) []byte{}
	for name, f := range map[string]*Formatter{
		"plain": {}, "colour": {Colour: true}, "raw": {Raw: true}, "fields": {Fields: true, Width: 8},
		"timestamp":        {Time: timeFormat(t, "iso"), Zone: zone},
		"timestamp-colour": {Time: timeFormat(t, "%H:%M:%S"), Zone: zone, Colour: true},
		"highlight":        {Colour: true, Highlight: func(b []byte) [][]int { return mark.FindAllIndex(b, -1) }},
	} {
		formats[name] = f.Append
	}
	formats["json"] = func(b []byte, l *Line) []byte { return AppendJSON(b, l, false) }
	formats["json-fields"] = func(b []byte, l *Line) []byte { return AppendJSON(b, l, true) }
	for name, format := range formats {
		var got []byte
		for _, l := range lines(t) {
			got = format(got, &l)
		}
		path := filepath.Join("testdata", name+".golden")
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
	files, err := filepath.Glob("testdata/*.golden")
	if err != nil || len(files) != len(formats) {
		t.Errorf("got %d golden files, error %v, want %d files", len(files), err, len(formats))
	}
}

// TestJSON checks that each JSON line can be parsed and has the values of the entry.
func TestJSON(t *testing.T) {
	for _, l := range lines(t) {
		var got struct {
			Message string
			Base64  []byte              `json:"messageBase64"`
			Fields  map[string][]string `json:"fields"`
			Time    time.Time
		}
		if err := json.Unmarshal(AppendJSON(nil, &l, true), &got); err != nil {
			t.Fatal(err)
		}
		message := []byte(got.Message)
		if got.Base64 != nil {
			message = got.Base64
		}
		if !bytes.Equal(message, l.Get("MESSAGE")) || !got.Time.Equal(l.Time()) {
			t.Errorf("got %q at %v, want %q at %v", message, got.Time, l.Get("MESSAGE"), l.Time())
		}
		if len(l.addedFields()) > 0 && (len(got.Fields["TAG"]) != 2 || got.Fields["USER_ID"][0] != "17") {
			t.Errorf("got the fields %q, want two values of TAG, and USER_ID 17", got.Fields)
		}
	}
}

// TestSchema checks that AppendJSON prints all keys of the schema and no others.
func TestSchema(t *testing.T) {
	data, err := os.ReadFile("../packaging/schema/clusterctl-output.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Defs struct {
			Logs struct {
				// The first schema is for a line, the second for --disk-usage.
				OneOf []struct {
					Required   []string
					Properties map[string]json.RawMessage
				}
			}
		} `json:"$defs"`
	}
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	line := schema.Defs.Logs.OneOf[0]
	printed := map[string]bool{}
	for _, l := range append(lines(t), Line{Entry: &Entry{Cut: true}, App: "x"}) {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(AppendJSON(nil, &l, true), &object); err != nil {
			t.Fatal(err)
		}
		for key := range object {
			printed[key] = true
			if line.Properties[key] == nil {
				t.Errorf("the key %s is not in the schema", key)
			}
		}
		for _, key := range line.Required {
			if object[key] == nil {
				t.Errorf("the key %s is missing in %s", key, AppendJSON(nil, &l, true))
			}
		}
	}
	if len(printed) != len(line.Properties) {
		t.Errorf("got %d keys, want the %d keys of the schema", len(printed), len(line.Properties))
	}
}

// FuzzSafe checks that appendSafe returns no control characters except tabs and allowed
// colour sequences.
func FuzzSafe(f *testing.F) {
	for _, l := range sample() {
		f.Add(l.Get("MESSAGE"))
	}
	f.Add([]byte("\x1b[38;5;8m\x1b[38;2;1;2;3m\x1b[1;31m\x1b[5m\x1b[38m\x1b[;m\x1b[999999999999m"))
	sequence := regexp.MustCompile("\x1b\\[[0-9;:]*m")
	f.Fuzz(func(t *testing.T, text []byte) {
		plain, coloured := appendSafe(nil, text, false)
		if coloured || bytes.ContainsFunc(plain, func(r rune) bool {
			return r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 || r == '\ufffd' && !bytes.Contains(text, []byte("\ufffd"))
		}) {
			t.Fatalf("%q without colour: got %q, which has control characters", text, plain)
		}
		withColour, _ := appendSafe(nil, text, true)
		if left := sequence.ReplaceAll(withColour, nil); bytes.ContainsRune(left, 0x1b) {
			t.Fatalf("%q with colour: got %q, which has an escape", text, withColour)
		}
		for _, s := range sequence.FindAll(withColour, -1) {
			if !onlyStyle(s[2 : len(s)-1]) {
				t.Fatalf("%q: the result contains the sequence %q", text, s)
			}
		}
	})
}

func TestOnlyStyle(t *testing.T) {
	for s, want := range map[string]bool{
		"": true, "0": true, "1;31": true, "38;5;8": true, "38;2;8;8;8": true, "48;5;5;1": true, "38;5;8;4": true, "97": true,
		"8": false, "5": false, "1;8": false, "38;5;8;8": false, "38;2;8;8;8;8": false, "10": false, "99999999999999999999": false,
	} {
		if got := onlyStyle([]byte(s)); got != want {
			t.Errorf("%q: got %v, want %v", s, got, want)
		}
	}
}

func TestTimeFormat(t *testing.T) {
	at := time.Date(2026, 1, 2, 15, 4, 5, 67089000, time.FixedZone("CET", 3600))
	for s, want := range map[string]string{
		"iso": "2026-01-02T15:04:05.067+01:00", "utc": "2026-01-02T14:04:05.067Z", "time": "15:04:05.067",
		"date": "2026-01-02 15:04:05.067",
		"unix": "1767362645.067089", "%s": "1767362645", "%H:%M:%S.%L": "15:04:05.067", "%F %T": "2026-01-02 15:04:05",
		"100%% %Y": "100% 2026", "%d. %B": "02. January",
		"YYYY-MM-DD HH:mm:ss": "2026-01-02 15:04:05", "HH:mm:ss.SSS": "15:04:05.067", "[at] HH": "at 15", "ddd D": "Fri D",
		"%f": "067089", "YYYY-MM-DDTHH:mm:ssZ": "2026-01-02T15:04:05+01:00",
	} {
		if got := string(timeFormat(t, s).appendTime(nil, at)); got != want {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
	}
	for _, s := range []string{"", "hello", "%Q", "100%", "..."} {
		if f, err := ParseTimeFormat(s); err == nil {
			t.Errorf("ParseTimeFormat(%q) returned no error and formats %q", s, f.appendTime(nil, at))
		}
	}
}

func TestMoment(t *testing.T) {
	for s, want := range map[string]string{
		"10m": "-10m", "1h30m": "-1h30m", "2 days": "-2 days", "1.5h": "-1.5h", "yesterday": "yesterday",
		"-5m": "-5m", "09:30": "09:30", "@1700000000": "@1700000000", "": "",
		"2026-01-31 12:00": "2026-01-31 12:00", "2026-01-31T12:00:00Z": "@1769860800",
		"2026-01-31T12:00:00.9+01:00": "@1769857200", "10": "10", "5 minutes ago": "5 minutes ago",
	} {
		if got := Moment(s); got != want {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
	}
}

func TestSuppressedText(t *testing.T) {
	if one := SuppressedText(1); !strings.HasPrefix(one, "1 line is ") {
		t.Errorf("got %q, want \"1 line is …\"", one)
	}
}
