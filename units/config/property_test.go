package config_test

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
)

// anyText generates UTF-8 texts without NUL. Without quotes, many of these texts have another meaning in YAML.
func anyText() *rapid.Generator[string] {
	tricky := rapid.SampledFrom([]string{
		"", " ", "~", "null", "true", "no", "1e3", "0x10", "010", "1:30", "2020-01-01", "-", "- x", "? x", ": x", "a: b", "a #b", "#",
		"@x", "`", "%x", "&a", "*a", "!x", "[", "]", "{", "}", ",", "'", "\"", "\\", "|", ">", "<<", "=", "---", "...", "\t", "\n", "\r",
		"\r\n", "a\n b\n", "\u0085", "\u2028", "\ufeff", "\ufffd", "\ufffe", "\x7f", "\x80é", "é", "日本", "😀",
		"\U0010ffff", "\u00a0", "a:", "--x", "-x", "-1", "-.5", "--", "-.inf", "1.2.3", "5%", "1_000", "0b1", ".5", ".inf", "_1",
	})
	noNUL := rapid.Custom(func(t *rapid.T) string {
		return strings.ToValidUTF8(strings.ReplaceAll(rapid.String().Draw(t, "text"), "\x00", "0"), "?")
	})
	return rapid.OneOf(tricky.Filter(utf8.ValidString), noNUL, rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.OneOf(tricky.Filter(utf8.ValidString), noNUL), 0, 4).Draw(t, "parts"), "")
	}))
}

func anyListener() *rapid.Generator[units.Listener] {
	return rapid.Custom(func(t *rapid.T) units.Listener {
		l := units.Listener{
			Name:    rapid.SampledFrom([]string{"", "http", "a_b-1"}).Draw(t, "name"),
			Network: rapid.SampledFrom([]units.Network{units.TCP, units.UDP, units.Unix}).Draw(t, "network"),
			Bind:    rapid.SampledFrom([]uint16{0, 3000}).Draw(t, "bind"),
		}
		if l.Network == units.Unix {
			l.Path = rapid.SampledFrom([]string{"/run/x.sock", "@x", "/run/a b.sock", "/run/ü%.sock", "@:"}).Draw(t, "path")
			return l
		}
		l.Port = rapid.Uint16Range(1, 65535).Draw(t, "port")
		l.Host = rapid.SampledFrom([]netip.Addr{{}, netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1"),
			netip.IPv6Unspecified()}).Draw(t, "host")
		return l
	})
}

func anyDuration() *rapid.Generator[time.Duration] {
	return rapid.OneOf(rapid.Just(time.Duration(0)),
		rapid.Map(rapid.Int64Range(1, 1<<40), func(n int64) time.Duration { return time.Duration(n) }),
		rapid.Map(rapid.Int64Range(1, 10000), func(n int64) time.Duration { return time.Duration(n) * time.Second }))
}

// anyApp generates valid and invalid apps.
func anyApp() *rapid.Generator[units.App] {
	name := rapid.StringMatching(`[A-Za-z_][A-Za-z0-9_]{0,6}`)
	return rapid.Custom(func(t *rapid.T) units.App {
		path := rapid.Map(anyText(), func(s string) string { return "/" + s })
		env := func(value *rapid.Generator[string]) []units.EnvVar {
			names := rapid.SliceOfNDistinct(rapid.OneOf(name,
				rapid.SampledFrom([]string{"y", "NO", "true", "null", strings.Repeat("N", 2000)})), 0, 4, rapid.ID).Draw(t, "names")
			var vars []units.EnvVar
			for _, n := range names {
				vars = append(vars, units.EnvVar{Name: n, Value: value.Draw(t, n)})
			}
			return vars
		}
		a := units.App{
			Name:      units.Name(rapid.StringMatching(`[a-z][a-zA-Z0-9_.-]{0,10}|y|no|null|on|e1|0x1`).Draw(t, "name")),
			Command:   append([]string{path.Draw(t, "program")}, rapid.SliceOfN(anyText(), 0, 5).Draw(t, "args")...),
			Directory: rapid.OneOf(rapid.Just(""), path).Draw(t, "directory"),
			RunAs: rapid.SampledFrom([]units.RunAs{
				{}, {User: "www-data"}, {User: "1000"}, {User: "a", Group: "b"}, {User: "dynamic"},
				{User: "dynamic", Group: "x"}, {User: "yes"}, {User: "ü@x"}, {User: "#1"},
			}).Draw(t, "run-as"),
			Listen:     rapid.SliceOfN(anyListener(), 0, 3).Draw(t, "listen"),
			Activation: rapid.SampledFrom([]units.Activation{units.Adopt, units.Native}).Draw(t, "activation"),
			Ready:      rapid.SampledFrom([]units.Ready{units.ReadyExec, units.ReadyNotify}).Draw(t, "ready"),
			Env:        env(anyText()),
			Restart:    rapid.SampledFrom([]units.Restart{units.RestartAlways, units.RestartOnFailure, units.RestartNo}).Draw(t, "restart"),
			Sandbox:    rapid.SampledFrom([]units.Sandbox{units.SandboxDefault, units.SandboxStrict, units.SandboxOff}).Draw(t, "sandbox"),
			Writable:   rapid.SliceOfN(path, 0, 2).Draw(t, "writable"),
			Reads:      rapid.SliceOfN(path, 0, 2).Draw(t, "read"),
			Allow:      rapid.SliceOfN(rapid.SampledFrom(units.Allowances()), 0, 2).Draw(t, "allow"),
			Timeouts: units.Timeouts{Start: anyDuration().Draw(t, "start"), Drain: anyDuration().Draw(t, "drain"),
				Stop: anyDuration().Draw(t, "stop")},
			Surge: rapid.IntRange(0, 3).Draw(t, "surge"),
			Shim: units.ShimOptions{
				Increment: env(rapid.SampledFrom([]string{"3000", "+5", "-1", "007"})), Pin: rapid.Bool().Draw(t, "pin"),
				MaxRestarts: rapid.IntRange(0, 100).Draw(t, "restarts"), MinUptime: anyDuration().Draw(t, "uptime"),
				NoNodePreload: rapid.Bool().Draw(t, "preload"), HoldAccept: rapid.Bool().Draw(t, "accept"),
				OwnPtrace: rapid.Bool().Draw(t, "ptrace"),
				NoDrain:   rapid.Bool().Draw(t, "drain"), Blocking: rapid.Bool().Draw(t, "blocking"),
			},
			Logs: units.Logs{
				Namespace: rapid.Bool().Draw(t, "namespace"),
				MaxSize:   rapid.SampledFrom([]uint64{0, 2 << 20, 500 << 20, 1<<30 + 1}).Draw(t, "size"),
				MaxAge:    rapid.SampledFrom([]time.Duration{0, time.Minute, 90061 * time.Second, 720 * time.Hour}).Draw(t, "age"),
				Rate: rapid.SampledFrom([]units.LogRate{{}, {Off: true}, {Lines: 5, Per: time.Second},
					{Lines: 1000000, Per: 1500 * time.Millisecond}}).Draw(t, "rate"),
			},
			Socket: rapid.SampledFrom([]units.SocketAccess{{}, {Mode: 0o600}, {User: "www-data", Group: "1000"},
				{Group: "yes", Mode: 0o666}}).Draw(t, "socket"),
			SocketOptions: rapid.SampledFrom([][]units.SocketOption{nil, {{Key: "ReceiveBuffer", Value: "30000"}},
				{{Key: "SendBuffer", Value: "1"}, {Key: "Priority", Value: "2"}}}).Draw(t, "socket-options"),
		}
		a.Instances, _ = units.ParseCount(rapid.SampledFrom([]string{"max", "4", "0", "-1", "50%", "1000"}).Draw(t, "instances"))
		for _, p := range rapid.SliceOfN(path, 0, 2).Draw(t, "env-files") {
			a.EnvFiles = append(a.EnvFiles, units.EnvFile{Path: p, Optional: rapid.Bool().Draw(t, "optional")})
		}
		for _, p := range rapid.SliceOfN(path, 0, 2).Draw(t, "worker-env-files") {
			a.EnvFiles = append(a.EnvFiles, units.EnvFile{Path: p, Optional: rapid.Bool().Draw(t, "optional"), ByWorker: true})
		}
		a.Trust = rapid.SliceOfN(rapid.SampledFrom([]string{"ann", "1000", "bob"}), 0, 2).Draw(t, "trust")
		return a
	})
}

var addrs = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

// TestRoundTrip: Decode returns the app that was passed to Encode.
func TestRoundTrip(t *testing.T) {
	valid := 0
	rapid.Check(t, func(t *rapid.T) {
		a := anyApp().Draw(t, "app")
		if a.Validate() != nil {
			// Many apps are invalid only because of these fields.
			a.Directory, a.Writable, a.Reads, a.EnvFiles = "", nil, nil, nil
			a.Listen, a.Socket, a.SocketOptions = nil, units.SocketAccess{}, nil
			if err := a.Validate(); err != nil {
				return
			}
		}
		valid++
		data := config.Encode(a)
		if again := config.Encode(a); !bytes.Equal(data, again) {
			t.Fatalf("two calls of Encode return different texts:\n%s\n%s", data, again)
		}
		if !config.Generated(data) {
			t.Fatalf("Generated returns false for the output of Encode:\n%s", data)
		}
		got, err := config.Decode("a.yaml", data)
		if err != nil || len(got) != 1 {
			t.Fatalf("%d apps, %v\n%s", len(got), err, data)
		}
		if diff := cmp.Diff(a, got[0], cmpopts.EquateEmpty(), addrs); diff != "" {
			t.Fatalf("%s\n%s", diff, data)
		}
	})
	if valid < 20 {
		t.Errorf("%d random apps were valid, want at least 20", valid)
	}
}

// TestRoundTripCharacters: Encode and Decode preserve all characters, and arguments of the maximum length.
func TestRoundTripCharacters(t *testing.T) {
	check := func(args []string) {
		t.Helper()
		a := units.App{Name: "shop", Instances: units.Count{N: 1}, Command: append([]string{"/bin/true"}, args...)}
		got, err := config.Decode("a.yaml", config.Encode(a))
		if err != nil || len(got) != 1 {
			t.Fatalf("%d apps, %v", len(got), err)
		}
		if diff := cmp.Diff(a, got[0], cmpopts.EquateEmpty(), addrs); diff != "" {
			t.Fatal(diff)
		}
	}
	var args []string
	size := 0
	for r := rune(1); r <= utf8.MaxRune; r++ {
		// Surrogates are not characters, and Validate refuses the noncharacters of Unicode. Of the characters above U+3100,
		// the test checks one in 251.
		if r >= 0xd800 && r < 0xe000 || r&0xfffe == 0xfffe || r >= 0xfdd0 && r <= 0xfdef || r > 0x3100 && r%251 != 0 && r&0xfff0 != 0xfff0 {
			continue
		}
		s := string(r) + "x" + string(r)
		if args, size = append(args, s, string(r)), size+2*len(s); size > 200_000 {
			check(args)
			args, size = nil, 0
		}
	}
	check(args)
	check([]string{strings.Repeat("é ", 128*1024/3-1), strings.Repeat("\n", 100_000), strings.Repeat("x: ", 40_000)})
}

// FuzzDecode: Decode does not panic and returns only valid apps. Encode and Decode do not change these apps.
func FuzzDecode(f *testing.F) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range cases {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range parseArchive(data).files {
			f.Add(file.data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		apps, err := config.Decode("a.yaml", data)
		if err != nil {
			if err.Error() == "" || len(apps) != 0 {
				t.Fatalf("%d apps with the error %q", len(apps), err)
			}
			return
		}
		for _, a := range apps {
			if err := a.Validate(); err != nil {
				t.Fatalf("Decode returned an invalid app: %v", err)
			}
			again, err := config.Decode("b.yaml", config.Encode(a))
			if err != nil || len(again) != 1 {
				t.Fatalf("%d apps, %v\n%s", len(again), err, config.Encode(a))
			}
			if diff := cmp.Diff(a, again[0], cmpopts.EquateEmpty(), addrs); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}
