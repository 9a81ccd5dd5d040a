package units_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/clusterctl/clusterctl/units"
)

// sinceVersion contains the first systemd that supports a key, for every key in the templates ("Added in version" in the
// man pages). 0 means that all versions that we support have the key. The tests fail for a key that is missing here.
var sinceVersion = map[string]map[string]int{
	"Unit": keys(0, "Description", "SourcePath", "X-Clusterctl-App", "StartLimitIntervalSec", "Requires", "Wants", "After",
		"PartOf", "ConditionCPUs", "ConditionPathExists"),
	"Install": keys(0, "WantedBy"),
	"Journal": keys(0, "X-Clusterctl-App", "SystemMaxUse", "RuntimeMaxUse", "MaxRetentionSec"),
	"Slice":   keys(0, "TasksMax"),
	"Socket": keys(0, "ListenStream", "ListenDatagram", "BindIPv6Only", "FreeBind", "SocketMode", "SocketUser",
		"SocketGroup", "ExecStartPost", "Service",
		"FileDescriptorName", "Backlog", "TriggerLimitIntervalSec", "NoDelay", "KeepAlive", "KeepAliveTimeSec",
		"TCPCongestion", "ReceiveBuffer"),
	"Service": union(
		keys(0, "Type", "RemainAfterExit", "NotifyAccess", "Sockets", "NonBlocking", "ExecStart", "ExecStartPre",
			"ExecStop", "ExecStopPost",
			"ExecReload", "WorkingDirectory", "DynamicUser", "User", "Group", "Environment", "EnvironmentFile", "Restart",
			"RestartSec", "RestartPreventExitStatus", "RestartForceExitStatus", "SuccessExitStatus", "TimeoutStartSec",
			"TimeoutStopSec", "KillMode",
			"KillSignal", "Slice", "SyslogIdentifier", "LogExtraFields", "LogRateLimitIntervalSec", "LogRateLimitBurst", "LogNamespace"),
		keys(0, "NoNewPrivileges", "CapabilityBoundingSet", "AmbientCapabilities", "PrivateTmp", "PrivateDevices",
			"ProtectSystem", "ProtectHome", "ReadWritePaths", "ReadOnlyPaths", "BindPaths", "ProtectKernelTunables", "ProtectKernelModules",
			"ProtectKernelLogs", "ProtectControlGroups", "ProtectClock", "ProtectHostname", "ProtectProc", "ProcSubset",
			"RestrictSUIDSGID", "RestrictRealtime", "RestrictNamespaces", "LockPersonality", "RestrictAddressFamilies",
			"SystemCallArchitectures", "SystemCallFilter", "SystemCallErrorNumber", "RemoveIPC", "UMask", "PrivateUsers",
			"StandardOutput", "StandardError", "LoadCredential",
			"BindReadOnlyPaths", "InaccessiblePaths", "TemporaryFileSystem", "LimitCORE"),
		keys(248, "PrivateIPC"),
		keys(units.EncryptedSecrets, "LoadCredentialEncrypted"),
		keys(254, "RestartSteps", "RestartMaxDelaySec"),
		keys(262, "RestartRandomizedDelaySec"),
	),
}

func keys(version int, names ...string) map[string]int {
	m := map[string]int{}
	for _, n := range names {
		m[n] = version
	}
	return m
}

func union(ms ...map[string]int) map[string]int {
	all := map[string]int{}
	for _, m := range ms {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

// The slice versions contains the tested versions of systemd: the versions of the four releases, and other versions that
// added keys.
var versions = []int{247, 249, 252, 254, 255, 257, 258, 262}

// The generator hostile generates texts that could end a quoted word or a line of a unit.
var hostile = rapid.Custom(func(t *rapid.T) string {
	parts := rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom(nasty), rapid.StringN(0, 6, -1)), 0, 6).Draw(t, "parts")
	return strings.Join(parts, "")
})

// The slice nasty contains the fragments of hostile texts.
var nasty = []string{
	"%", "%%", "%i", "%n", "%h", "$", "$$", "${HOME}", "$HOME", `"`, `'`, `\`, `\\`, `\n`, `\x41`, `\s`, `\101`, `\u00e9`,
	"\n", "\r", "\t", "\r\n", "\n[Service]\nExecStart=/bin/false\n", "\nX-Clusterctl-App=other\n", ";", " ; ", "#", " ", "  ",
	"a", "Z", "0", "=", "-", "@", ":", "+", "!", "|", "~", "*", "?", "[", "]", "{a,b}", "{{.App}}", "`id`", "$(id)", "&&", "/", "//",
	"/./", "..", "é", "日本", "🎉", "\u00a0", "\u0085", "\u2028", "\ufeff", "e\u0301", "\ufffd", "\ufffe", "\U0001ffff", "\ufdd0", "\xff",
	"\x00", "\x01", "\x1b[31m", "\x7f", "\v", "\f", "\b", "\a",
}

// hostilePath generates hostile texts that begin with "/".
var hostilePath = rapid.Map(hostile, func(s string) string { return "/" + s })

var anyDuration = rapid.OneOf(
	rapid.SampledFrom([]time.Duration{0, 1, time.Microsecond, time.Millisecond, 1500 * time.Millisecond, time.Minute,
		365 * 24 * time.Hour}),
	rapid.Map(rapid.Int64Range(0, int64(24*time.Hour)), func(n int64) time.Duration { return time.Duration(n) }))

var listenText = rapid.OneOf(
	rapid.SampledFrom([]string{
		"80", "8080", "80:3000", "127.0.0.1:80", "0.0.0.0:80", "[::]:80", "[::1]:443", "udp:53", "udp:[2001:db8::1]:53", "dns=udp:53",
		"/run/a.sock", "/run/a b%.sock", "@abs", "@abs:80", "admin=9000", "admin=/run/x=y.sock", "tcp:1", ":80",
		"192.0.2.1:80:3000", "metrics=127.0.0.1:9100", "dns=udp:53:5353", "dns=53:5300", "dns=127.0.0.1:54:5301",
	}),
	hostile, hostilePath)

// tameWord removes characters that Validate refuses in arguments. tamePath removes what Validate refuses in paths.
func tameWord(s string) string {
	return strings.Map(func(r rune) rune {
		if r == 0 || r == utf8.RuneError || r >= 0xfdd0 && r <= 0xfdef || r&0xfffe == 0xfffe {
			return -1
		}
		return r
	}, s)
}

func tamePath(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, tameWord(s))
	for strings.Contains(s, "..") {
		s = strings.ReplaceAll(s, "..", ".")
	}
	return strings.TrimRightFunc(s, func(r rune) bool { return r == '\\' || unicode.IsSpace(r) })
}

// anyApp generates apps with hostile texts. One in four apps has texts that Validate refuses.
var anyApp = rapid.Custom(func(t *rapid.T) units.App {
	wild := rapid.IntRange(0, 3).Draw(t, "wild") == 0
	pick := func(label string, tame func(string) string, g *rapid.Generator[string], usual ...string) string {
		s := g.Draw(t, label)
		if !wild {
			s = tame(s)
		}
		if len(usual) > 0 && rapid.Bool().Draw(t, "usual "+label) {
			return rapid.SampledFrom(usual).Draw(t, "the usual "+label)
		}
		return s
	}
	count := func(label string, most int) int { return rapid.IntRange(0, most).Draw(t, label) }
	a := units.App{
		Name:       units.Name(rapid.StringMatching(`[a-zA-Z][a-zA-Z0-9_.-]{0,49}`).Draw(t, "name")),
		Command:    []string{pick("program", tamePath, hostilePath, "/usr/bin/node")},
		Directory:  pick("directory", tamePath, hostilePath, "", "/", "/srv/x", "/home", "/home/x"),
		Activation: units.Activation(count("activation", 1)), Ready: units.Ready(count("ready", 1)),
		Restart: units.Restart(count("restart", 2)), Sandbox: units.Sandbox(count("sandbox", 2)),
	}
	if a.Logs.Namespace = rapid.Bool().Draw(t, "namespace"); a.Logs.Namespace {
		a.Logs.MaxSize = rapid.SampledFrom([]uint64{0, 2 << 20, 1<<30 + 1}).Draw(t, "log size")
		a.Logs.MaxAge = rapid.SampledFrom([]time.Duration{0, time.Minute, 720 * time.Hour}).Draw(t, "log age")
	}
	a.RunAs.User = rapid.SampledFrom([]string{"", "web", "1000", "é.x"}).Draw(t, "user")
	if a.RunAs.User != "" {
		a.RunAs.Group = rapid.SampledFrom([]string{"", "web", "0"}).Draw(t, "group")
	}
	for range count("args", 5) {
		a.Command = append(a.Command, pick("arg", tameWord, hostile))
	}
	for range count("writable", 3) {
		a.Writable = append(a.Writable, pick("path", tamePath, hostilePath))
	}
	for range count("reads", 2) {
		a.Reads = append(a.Reads, pick("read", tamePath, hostilePath))
	}
	for range count("allow", 2) {
		a.Allow = append(a.Allow, rapid.SampledFrom(units.Allowances()).Draw(t, "word"))
	}
	for i := range count("env", 4) {
		a.Env = append(a.Env, units.EnvVar{Name: fmt.Sprintf("V%d", i), Value: pick("value", tameWord, hostile)})
	}
	for range count("env files", 2) {
		a.EnvFiles = append(a.EnvFiles, units.EnvFile{Path: pick("file", tamePath, hostilePath),
			Optional: rapid.Bool().Draw(t, "optional")})
	}
	for range count("listeners", 4) {
		l, err := units.ParseListener(pick("listener", tamePath, listenText))
		if err == nil && (wild || a.Activation == units.Adopt || l.Bind == 0) {
			a.Listen = append(a.Listen, l)
		}
	}
	a.Shim = units.ShimOptions{
		MaxRestarts: count("max restarts", 20), Pin: rapid.Bool().Draw(t, "pin"),
		NoNodePreload: rapid.Bool().Draw(t, "no preload"), HoldAccept: rapid.Bool().Draw(t, "hold"),
		OwnPtrace: rapid.Bool().Draw(t, "ptrace"),
	}
	a.Timeouts.Start, a.Timeouts.Drain, a.Shim.MinUptime = anyDuration.Draw(t, "start"), anyDuration.Draw(t,
		"drain"), anyDuration.Draw(t, "uptime")
	if wild {
		a.Name = units.Name(hostile.Draw(t, "wild name"))
		a.RunAs = units.RunAs{User: hostile.Draw(t, "wild user"), Group: hostile.Draw(t, "wild group")}
		a.Timeouts.Start = rapid.SampledFrom([]time.Duration{math.MaxInt64, math.MinInt64, -1, 0}).Draw(t, "wild start")
	}
	return a
})

func anyTarget(t *rapid.T, a units.App) units.Target {
	cpus := units.CPUs{Affinity: rapid.IntRange(1, 64).Draw(t, "cpus"), Quota: rapid.Float64Range(0, 8).Draw(t, "quota")}
	return units.Target{
		Systemd: rapid.SampledFrom(versions).Draw(t, "systemd"), Sizing: a.Instances.Resolve(cpus),
		Source: "/etc/clusterctl/x.yaml", Shim: units.DefaultShim,
		Values: rapid.SampledFrom([]string{"", "/etc/clusterctl/x.env"}).Draw(t, "values"),
		Secrets: rapid.SampledFrom([][]units.Secret{nil, {
			{Name: "A", Path: "/etc/clusterctl/x.secrets/A"}, {Name: "b.pem", Path: "/etc/clusterctl/x.secrets/b.pem"},
		}}).Draw(t, "secrets"),
	}
}

func renderProperties(t *rapid.T) {
	a := anyApp.Draw(t, "app")
	target := anyTarget(t, a)
	set, err := units.Render(a, target)
	if invalid := a.Validate(); invalid != nil {
		if err == nil {
			t.Fatalf("Render accepted an app that Validate refuses: %v", invalid)
		}
		var fe *units.FieldError
		if !errors.As(invalid, &fe) || fe.Key == "" || fe.Message == "" {
			t.Fatalf("%#v is not a FieldError", invalid)
		}
		return
	}
	if err != nil {
		t.Fatalf("Render refused an app that Validate accepts: %v", err)
	}
	again, err := units.Render(a, target)
	if err != nil || !cmp.Equal(set, again) {
		t.Fatalf("a second Render differs: %v", err)
	}
	for _, f := range set {
		if f.Path != a.Name.ValuesFile() {
			checkFile(t, a, target, f)
		}
	}
	checkInstance(t, a, set, checkValues(t, a, target, set))
}

// checkValues checks the values file. checkValues returns the variables that must be in the template, and the environment
// files that must come before the files of the user.
func checkValues(t *rapid.T, a units.App, target units.Target, set units.Set) fromValues {
	data, found := set.Get(a.Name.ValuesFile())
	if found != (target.Values != "" && len(a.Env) > 0) {
		t.Fatalf("got a values file: %v, want %v", found, !found)
	}
	if !found {
		return fromValues{inline: a.Env}
	}
	vars, err := units.ParseValues(data)
	if err != nil || !slices.Equal(vars, a.Env) {
		t.Fatalf("the values file has the variables %+v (%v), want %+v", vars, err, a.Env)
	}
	template, _ := set.Get(a.Name.Template())
	for _, v := range a.Env {
		if strings.Contains(string(template), "Environment=\""+v.Name+"=") {
			t.Fatalf("the template contains a value:\n%s", template)
		}
	}
	return fromValues{files: []units.EnvFile{{Path: target.Values}}}
}

type fromValues struct {
	inline []units.EnvVar
	files  []units.EnvFile
}

// checkFile checks that the target supports all sections and keys of a file, and that Owner returns the app.
func checkFile(t *rapid.T, a units.App, target units.Target, f units.File) {
	if strings.ContainsFunc(string(f.Data), func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f }) {
		t.Fatalf("%s has a control character:\n%q", f.Path, f.Data)
	}
	if !strings.HasSuffix(string(f.Data), "\n") || strings.Contains(string(f.Data), "\n\n\n") {
		t.Fatalf("%s does not end in a newline, or has two empty lines:\n%s", f.Path, f.Data)
	}
	directives, err := parseUnit(f.Data)
	if err != nil {
		t.Fatalf("%s: %v", f.Path, err)
	}
	lines := 0
	for line := range strings.Lines(string(f.Data)) {
		if line != "\n" && line[0] != '#' && line[0] != '[' {
			lines++
		}
	}
	if lines != len(directives) {
		t.Fatalf("%s: %d lines, but %d directives", f.Path, lines, len(directives))
	}
	for _, d := range directives {
		version, ok := sinceVersion[d.section][d.key]
		if !ok {
			t.Fatalf("%s: [%s] %s= is not in the table of known keys", f.Path, d.section, d.key)
		}
		if version > target.Systemd {
			t.Fatalf("%s: %s= needs systemd %d, but the target has %d", f.Path, d.key, version, target.Systemd)
		}
	}
	if got := units.Owner(f); got != a.Name {
		t.Fatalf("%s: Owner returned %q, want %q", f.Path, got, a.Name)
	}
}

// The function values returns the values of one key of a file, in order.
func values(directives []directive, section, key string) []string {
	var out []string
	for _, d := range directives {
		if d.section == section && d.key == key {
			out = append(out, d.value)
		}
	}
	return out
}

// checkInstance parses the unit of an instance as systemd does, and compares the result with the app.
func checkInstance(t *rapid.T, a units.App, set units.Set, from fromValues) {
	a.Env, a.EnvFiles = from.inline, append(slices.Clone(from.files), a.EnvFiles...)
	data, ok := set.Get(a.Name.Template())
	if !ok {
		t.Fatalf("%s is missing", a.Name.Template())
	}
	d, err := parseUnit(data)
	if err != nil {
		t.Fatal(err)
	}
	same := func(what string, got, want any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s (-want +got):\n%s\n%s", what, diff, data)
		}
	}
	exec := values(d, "Service", "ExecStart")
	same("number of ExecStart=", len(exec), 1)
	argv, err := execArgv(exec[0], "1")
	if err != nil {
		t.Fatalf("ExecStart=%s: %v", exec[0], err)
	}
	if len(argv) < len(a.Command) {
		t.Fatalf("ExecStart=%s has %q, which is shorter than the command %q", exec[0], argv, a.Command)
	}
	// Words of a shell or of the shim may come before the command.
	front := len(argv) - len(a.Command)
	same("argv", argv[front:], a.Command)
	switch {
	case front > 0 && argv[0] == "/bin/sh":
		same("words of the shell", argv[:front], []string{"/bin/sh", "-c", `exec "$0" "$@"`})
	case front > 0:
		same("words of the shim", []string{argv[0], argv[1], argv[front-1]}, []string{units.DefaultShim, "run", "--"})
	}
	var env []string
	if argv[0] != units.DefaultShim {
		env = append(env, "INSTANCE=1")
	}
	for _, e := range a.Env {
		env = append(env, e.Name+"="+e.Value)
	}
	var assigned []string
	for _, v := range values(d, "Service", "Environment") {
		w, err := splitValue(v, true, "1")
		if err != nil {
			t.Fatalf("Environment=%s: %v", v, err)
		}
		assigned = append(assigned, w...)
	}
	if len(assigned) < len(env) {
		t.Fatalf("Environment= has the variables %q, want %q", assigned, env)
	}
	same("Environment=", assigned[:len(env)], env)
	if a.Directory != "" {
		same("WorkingDirectory=", raw(t, values(d, "Service", "WorkingDirectory")), []string{a.Directory})
	}
	if !a.RunAs.Dynamic() {
		same("User=", raw(t, values(d, "Service", "User")), []string{a.RunAs.User})
	}
	for _, key := range []string{"TimeoutStartSec", "TimeoutStopSec"} {
		span := values(d, "Service", key)
		if v, err := time.ParseDuration(strings.Join(span, " ")); err != nil || v <= 0 {
			t.Fatalf("%s=%q is not a positive time (%v)", key, span, err)
		}
	}
	checkEnvFiles(t, a, raw(t, values(d, "Service", "EnvironmentFile")))
	checkWritable(t, a, slices.Concat(values(d, "Service", "ReadWritePaths"), values(d, "Service", "BindPaths")))
	checkSockets(t, a, set)
}

// The function raw resolves the specifiers in values. systemd does not split these values into words.
func raw(t *rapid.T, vs []string) []string {
	out := []string{}
	for _, v := range vs {
		s, err := specifiers(v, "1")
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}

// checkEnvFiles removes the backslashes, which escape characters in a pattern (glob(7)), and compares the paths.
func checkEnvFiles(t *rapid.T, a units.App, patterns []string) {
	if len(patterns) != len(a.EnvFiles) {
		t.Fatalf("EnvironmentFile= has %q, want %+v", patterns, a.EnvFiles)
	}
	for i, p := range patterns {
		p, optional := strings.CutPrefix(p, "-")
		var b strings.Builder
		for j := 0; j < len(p); j++ {
			if strings.IndexByte("*?[", p[j]) >= 0 {
				t.Fatalf("EnvironmentFile=%s contains an unescaped glob character", p)
			}
			if p[j] == '\\' {
				j++
			}
			b.WriteByte(p[j])
		}
		if got := (units.EnvFile{Path: b.String(), Optional: optional}); got != a.EnvFiles[i] {
			t.Fatalf("EnvironmentFile= has %+v, want %+v", got, a.EnvFiles[i])
		}
	}
}

// checkWritable checks that each line contains one word without C escapes, and that every path in Writable has a line.
func checkWritable(t *rapid.T, a units.App, vs []string) {
	var got []string
	for _, v := range vs {
		w, err := splitValue(v, false, "1")
		if err != nil || len(w) != 1 {
			t.Fatalf("ReadWritePaths=%s has the words %q (%v), want one word", v, w, err)
		}
		got = append(got, w[0])
	}
	for _, p := range a.Writable {
		if a.Sandbox != units.SandboxOff && !slices.Contains(got, p) {
			t.Fatalf("%q is not in ReadWritePaths=: %q", p, got)
		}
	}
}

// checkSockets checks that every listener is in exactly one socket unit, which has the name of the listener as
// FileDescriptorName=. checkSockets also checks the settings that doc.go requires for units with listeners.
func checkSockets(t *rapid.T, a units.App, set units.Set) {
	var sockets, listed, nonBlocking []string
	services := 0
	for _, f := range set {
		if f.Path == a.Name.ValuesFile() {
			continue
		}
		d, err := parseUnit(f.Data)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(f.Path, ".socket") {
			sockets = append(sockets, f.Path)
			name := values(d, "Socket", "FileDescriptorName")[0]
			for _, v := range raw(t, values(d, "Socket", "ListenStream")) {
				listed = append(listed, name+" stream "+v)
			}
			for _, v := range raw(t, values(d, "Socket", "ListenDatagram")) {
				listed = append(listed, name+" datagram "+v)
			}
			demand(t, f, d, "Socket", "TriggerLimitIntervalSec", "0")
			demand(t, f, d, "Unit", "StartLimitIntervalSec", "0")
			demand(t, f, d, "Unit", "PartOf", a.Name.Service())
			demand(t, f, d, "Socket", "Service", a.Name.Service())
		}
		if strings.HasSuffix(f.Path, ".service") && len(a.Listen) > 0 {
			nonBlocking = append(nonBlocking, values(d, "Service", "NonBlocking")...)
			services++
			demand(t, f, d, "Unit", "StartLimitIntervalSec", "0")
		}
	}
	if len(nonBlocking) != services || len(slices.Compact(nonBlocking)) > 1 {
		t.Fatalf("%d services inherit the listeners, but their NonBlocking= are %q", services, nonBlocking)
	}
	var want []string
	for _, l := range a.Listen {
		kind := " stream "
		if l.Network == units.UDP {
			kind = " datagram "
		}
		want = append(want, l.FDName()+kind+l.Address())
	}
	data, _ := set.Get(a.Name.Template())
	d, _ := parseUnit(data)
	checkMap(t, a, listed, values(d, "Service", "ExecStart")[0])
	slices.Sort(want)
	slices.Sort(listed)
	if !slices.Equal(want, listed) {
		t.Fatalf("the units have the listeners %q, want %q", listed, want)
	}
	inherited := strings.Fields(strings.Join(values(d, "Service", "Sockets"), " "))
	slices.Sort(inherited)
	if !slices.Equal(inherited, sockets) {
		t.Fatalf("got Sockets=%q, want the socket units %q", inherited, sockets)
	}
}

// checkMap checks the flags --map=NAME/K=KIND:PORT of the shim. K is the number of the listener among the listeners with the
// name NAME. PID 1 passes the sockets in the order of the units.
func checkMap(t *rapid.T, a units.App, listed []string, exec string) {
	var got, want []string
	for word := range strings.FieldsSeq(exec) {
		if word == "--" {
			break
		}
		if m, ok := strings.CutPrefix(word, "--map="); ok {
			got = append(got, m)
		}
	}
	for _, l := range a.Listen {
		// If the app listens on 0.0.0.0 and on [::], each listener is used only for its IP version.
		twin := slices.ContainsFunc(a.Listen, func(m units.Listener) bool {
			return l.Host.IsValid() && m.Host.IsValid() && l.Host.IsUnspecified() && m.Host.IsUnspecified() &&
				l.Host.Is4() != m.Host.Is4() && l.Port == m.Port && l.Network == m.Network
		})
		if !a.Adopted() || l.Bind == 0 && (twin || !l.Host.IsValid()) {
			continue
		}
		kind, word := "tcp", " stream "
		if l.Network == units.UDP {
			kind, word = "udp", " datagram "
		}
		if twin {
			kind += map[bool]string{true: "4", false: "6"}[l.Host.Is4()]
		}
		k := 0
		for _, line := range listed {
			if line == l.FDName()+word+l.Address() {
				break
			}
			if strings.HasPrefix(line, l.FDName()+" ") {
				k++
			}
		}
		want = append(want, fmt.Sprintf("%s/%d=%s:%d", l.FDName(), k, kind, l.ProgramPort()))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("got --map flags %q, want %q", got, want)
	}
}

func demand(t *rapid.T, f units.File, d []directive, section, key, want string) {
	t.Helper()
	if got := values(d, section, key); len(got) != 1 || got[0] != want {
		t.Fatalf("%s: got %s=%q, want %q", f.Path, key, got, want)
	}
}

func TestRenderProperties(t *testing.T) { rapid.Check(t, renderProperties) }

func FuzzRender(f *testing.F) { f.Fuzz(rapid.MakeFuzz(renderProperties)) }

// TestVersions: for every version, Render uses only keys that this version supports.
func TestVersions(t *testing.T) {
	for _, g := range goldens(t) {
		if g.err != nil {
			continue
		}
		for _, v := range versions {
			target := g.target
			target.Systemd = v
			set, err := units.Render(g.app, target)
			if err != nil {
				t.Errorf("%s for systemd %d: %v", g.path, v, err)
			}
			for _, f := range set {
				if f.Path == g.app.Name.ValuesFile() {
					continue
				}
				d, err := parseUnit(f.Data)
				if err != nil {
					t.Errorf("%s for systemd %d: %s: %v", g.path, v, f.Path, err)
				}
				for _, x := range d {
					if n, ok := sinceVersion[x.section][x.key]; !ok || n > v {
						t.Errorf("%s for systemd %d: %s: [%s] %s= needs systemd %d (in the table: %v)",
							g.path, v, f.Path, x.section, x.key, n, ok)
					}
				}
			}
		}
	}
}

// TestRenderRefuses: Render returns an error for an invalid target.
func TestRenderRefuses(t *testing.T) {
	a := units.App{Name: "web", Command: []string{"/bin/true"}, Activation: units.Native}
	good := units.Target{Systemd: 252, Sizing: units.Sizing{Want: 1, Listed: 1}, Source: "/etc/clusterctl/web.yaml"}
	if _, err := units.Render(a, good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*units.Target){
		"old systemd":   func(t *units.Target) { t.Systemd = 246 },
		"no systemd":    func(t *units.Target) { t.Systemd = 0 },
		"no instance":   func(t *units.Target) { t.Sizing.Listed = 0 },
		"too many":      func(t *units.Target) { t.Sizing.Listed = units.MaxInstances + 1 },
		"a source line": func(t *units.Target) { t.Source = "/x\n[Service]" },
	} {
		bad := good
		change(&bad)
		if set, err := units.Render(a, bad); err == nil || set != nil {
			t.Errorf("%s: got %v, %v, want an error", name, set, err)
		}
	}
}
