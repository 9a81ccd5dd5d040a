package contract

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseMap(t *testing.T) {
	for in, want := range map[string]Map{
		"http=tcp:3000":      {"http", Bind{Kind: TCP, Port: 3000}},
		"http/1=tcp4:80":     {"http/1", Bind{Kind: TCP4, Port: 80}},
		"0=udp6:53":          {"0", Bind{Kind: UDP6, Port: 53}},
		"a=b=tcp:1":          {"a=b", Bind{Kind: TCP, Port: 1}},
		"x=unix:@name":       {"x", Bind{Kind: Unix, Path: "@name"}},
		"x=unix:/run/a=tcp:": {"x", Bind{Kind: Unix, Path: "/run/a=tcp:"}},
	} {
		if m, err := ParseMap(in); err != nil || m != want {
			t.Errorf("ParseMap(%q) = %+v, %v, want %+v", in, m, err, want)
		}
	}
	for _, in := range []string{
		"", "http", "=tcp:1", "http=tcp", "http=tcp:", "http=tcp:0", "http=tcp:65536", "http=tcp:-1", "http=tcp:1x", "http=socket:1",
		"http=unix:", "http=unix:relative", "http=unix:80", "http=unix:/" + strings.Repeat("x", 107), "http=sctp:1", "http=:1",
	} {
		if m, err := ParseMap(in); err == nil {
			t.Errorf("ParseMap(%q) = %+v, want an error", in, m)
		}
	}
}

// TestMapIsReadBack: ParseMap(m.String()) returns m.
func TestMapIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.IntRange(int(TCP), int(Unix)).Draw(t, "kind")
		m := Map{Key: rapid.StringMatching(`[^:]+`).Draw(t, "key"), Bind: Bind{Kind: Kind(kind)}}
		if m.Bind.Kind == Unix {
			m.Bind.Path = rapid.StringMatching(`[/@][ -~]{1,106}`).Draw(t, "path")
		} else {
			m.Bind.Port = rapid.Uint16Min(1).Draw(t, "port")
		}
		if got, err := ParseMap(m.String()); err != nil || got != m {
			t.Fatalf("ParseMap(%q) = %+v, %v, want %+v", m, got, err, m)
		}
	})
}

func FuzzParseMap(f *testing.F) {
	for _, s := range []string{"http=tcp:3000", "a/0=unix:/x", "=", "x=udp6:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseMap(s)
		if err != nil {
			return
		}
		if again, err := ParseMap(m.String()); err != nil || again != m {
			t.Fatalf("ParseMap(%q) = %+v, but ParseMap of its String returned %+v, %v", s, m, again, err)
		}
	})
}

func TestFind(t *testing.T) {
	names := []string{"http", "admin", "http", "7"}
	for key, want := range map[string]int{"admin": 1, "http/0": 0, "http/1": 2, "0": 0, "2": 2, "7": 3, "admin/0": 1} {
		if got, err := (Map{Key: key}).Find(names); err != nil || got != want {
			t.Errorf("Find for key %q = %d, %v, want %d", key, got, err, want)
		}
	}
	for _, key := range []string{"http", "http/2", "none", "4", "-1", "http/-1", "", "/0"} {
		if got, err := (Map{Key: key}).Find(names); err == nil {
			t.Errorf("Find for key %q = %d, want an error", key, got)
		}
	}
}
