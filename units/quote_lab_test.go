//go:build lab

package units_test

import (
	"flag"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/patience"
	"github.com/clusterctl/clusterctl/units"
)

var (
	vectors = flag.Int("vectors", 200, "number of apps that TestQuotingOnSystemd starts on each release")
	seed    = flag.Int("seed", 1, "the seed of the first app")
)

// The type vector is an app that has hostile texts and runs the program argdump.
type vector struct {
	app units.App
	dir string // the directory in the machine that argdump writes to
}

// vectorOf returns the vector of a seed, and whether its app is valid. vectorOf puts the directory of the vector before each
// hostile path, so that install can create the path.
func vectorOf(seed int) (vector, bool) {
	a := anyApp.Example(seed)
	v := vector{dir: fmt.Sprintf("/out/%d", seed)}
	place := func(p string) string { return fmt.Sprintf("/srv/v/%d%s", seed, p) }
	a.Name = units.Name(fmt.Sprintf("q%d", seed))
	a.RunAs = units.RunAs{User: "root"}
	a.Instances = units.Count{N: 1}
	a.Ready, a.Restart, a.Sandbox = units.ReadyNotify, units.RestartNo, units.SandboxOff
	a.Timeouts = units.Timeouts{}
	a.Shim, a.Writable, a.Logs = units.ShimOptions{}, nil, units.Logs{}
	if a.Directory != "" {
		a.Directory = place("/cwd" + a.Directory)
	}
	a.Command[0] = place("/bin" + a.Command[0])
	if base := path.Base("/" + a.Command[0] + "x"); base == "x" || base == ".x" {
		a.Command[0] += "x" // a path that ends in "/" or "/." is a directory
	}
	for i := range a.EnvFiles {
		a.EnvFiles[i] = units.EnvFile{Path: place(fmt.Sprintf("/env%d%s=", i, a.EnvFiles[i].Path))}
	}
	a.Env = append([]units.EnvVar{{Name: "DUMP", Value: v.dir}}, a.Env...)
	// The value of the last variable becomes the path of a socket for odd seeds, and the name of an abstract socket for even
	// seeds. If the app has a socket and is not native, the shim starts the program.
	a.Listen = nil
	if last := a.Env[len(a.Env)-1]; last.Name != "DUMP" && last.Value != "" {
		name := strings.ReplaceAll(tamePath(last.Value), ":", "")
		l := units.Listener{Network: units.Unix, Path: path.Clean(fmt.Sprintf("/run/q%d%s", seed, strings.ReplaceAll(name, "/", "")))}
		if seed%2 == 0 {
			l.Path = fmt.Sprintf("@q%d%s", seed, name)
		}
		a.Listen = []units.Listener{l}
	}
	v.app = a
	return v, a.Validate() == nil
}

// The method values returns the path of the values file, or "" for every third vector. Without a values file, the template
// contains the values.
func (v vector) values() string {
	if n, _ := strconv.Atoi(strings.TrimPrefix(string(v.app.Name), "q")); n%3 == 0 {
		return ""
	}
	return "/etc/clusterctl/" + v.app.Name.ValuesFile()
}

// The method install writes the units, the program, the directories and the files of the vector to the machine.
func (v vector) install(t *testing.T, root, program string, systemd int) {
	t.Helper()
	set, err := units.Render(v.app, units.Target{
		Systemd: systemd, Sizing: v.app.Instances.Resolve(units.CPUs{}), Source: "/etc/clusterctl/q.yaml", Shim: units.DefaultShim,
		Values: v.values(),
	})
	if err != nil {
		t.Fatal(err)
	}
	write := func(p string, data []byte) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range set {
		if f.Path == v.app.Name.ValuesFile() {
			write(filepath.Join(root, v.values()), f.Data)
			continue
		}
		write(filepath.Join(root, "etc/systemd/system", f.Path), f.Data)
	}
	for i, f := range v.app.EnvFiles {
		write(filepath.Join(root, f.Path), fmt.Appendf(nil, "FILE%d=read\n", i))
	}
	bin := filepath.Join(root, v.app.Command[0])
	if err := os.MkdirAll(filepath.Dir(bin), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(program, bin); err != nil {
		t.Fatal(err)
	}
	if v.app.Directory != "" {
		if err := os.MkdirAll(filepath.Join(root, v.app.Directory), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// The slice automatic contains the variables that are set by systemd, or by the shell that starts a program with an unusual
// path.
var automatic = []string{
	"HOME", "INVOCATION_ID", "INSTANCE", "JOURNAL_STREAM", "LANG", "LISTEN_FDNAMES", "LISTEN_FDS", "LISTEN_PID",
	"LISTEN_PIDFDID", "LOGNAME",
	"MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE", "NOTIFY_SOCKET", "PATH", "PWD", "SHELL", "SYSTEMD_EXEC_PID", "USER",
}

// The method compare returns the differences between the app and the command line, environment, directory and socket that
// argdump recorded.
func (v vector) compare(root string) string {
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join(root, v.dir, name))
		if err != nil {
			return err.Error()
		}
		return string(data)
	}
	var env []string
	for s := range strings.SplitSeq(strings.TrimSuffix(read("environ"), "\x00"), "\x00") {
		if name, _, _ := strings.Cut(s, "="); !slices.Contains(automatic, name) {
			env = append(env, s)
		}
	}
	var want []string
	for _, e := range v.app.Env {
		want = append(want, e.Name+"="+e.Value)
	}
	for i := range v.app.EnvFiles {
		want = append(want, fmt.Sprintf("FILE%d=read", i))
	}
	slices.Sort(env)
	slices.Sort(want)
	cmdline := read("cmdline")
	if v.app.Adopted() {
		_, cmdline, _ = strings.Cut(cmdline, "\x00--\x00")
	}
	diff := cmp.Diff(strings.Join(v.app.Command, "\x00")+"\x00", cmdline) + cmp.Diff(want, env)
	if v.app.Directory != "" {
		diff += cmp.Diff(path.Clean(v.app.Directory), read("cwd"))
	}
	for _, l := range v.app.Listen {
		diff += cmp.Diff(l.Path, read("socket"))
	}
	return diff
}

// batch is the number of apps per machine. PID 1 needs more than twice as long for twice as many apps.
const batch = 300

// TestQuotingOnSystemd: on a real systemd, every program gets the texts of its app unchanged. Hundreds of apps start at
// once, and each program records its argv, environment, working directory and socket address.
func TestQuotingOnSystemd(t *testing.T) {
	for _, release := range lab.All() {
		t.Run(string(release), func(t *testing.T) {
			t.Parallel()
			next := *seed
			for done := 0; done < *vectors; done += batch {
				t.Run(fmt.Sprintf("from-%d", next), func(t *testing.T) {
					next = startVectors(t, lab.Boot(t, release), next, min(batch, *vectors-done))
				})
			}
		})
	}
}

// startVectors starts n vectors at once. It takes the seed of the first vector, and returns the first seed for the next
// call.
func startVectors(t *testing.T, m *lab.Machine, from, n int) int {
	program := filepath.Join(m.Root(), "srv/argdump")
	m.CopyIn(t, lab.Build(t, "./units/testdata/argdump"), "/srv/argdump")
	m.Sh(t, "mkdir /out && install -D /srv/argdump "+units.DefaultShim)
	// If the file in SourcePath= is missing, systemctl warns that the unit has changed on disk.
	m.WriteFile(t, "/etc/clusterctl/q.yaml", "", 0o644)
	systemd := m.Systemd(t)
	var all []vector
	start := []string{"systemctl", "start"}
	shim := 0
	for ; len(all) < n; from++ {
		v, ok := vectorOf(from)
		if !ok {
			continue
		}
		if v.app.Adopted() {
			shim++
		}
		v.install(t, m.Root(), program, systemd)
		all = append(all, v)
		start = append(start, v.app.Name.Instance(1))
	}
	m.Sh(t, "systemctl daemon-reload")
	ctx, cancel := patience.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	result := m.Run(ctx, start...)
	bad := 0
	for _, v := range all {
		diff := v.compare(m.Root())
		if diff == "" {
			continue
		}
		unit, _ := os.ReadFile(filepath.Join(m.Root(), "etc/systemd/system", v.app.Name.Template()))
		t.Errorf("%s (-want +got):\n%s\n%s", v.app.Name, diff, unit)
		if bad++; bad == 5 {
			t.Fatal("stopped after 5 differences")
		}
	}
	if result.Code != 0 || result.Stderr != "" {
		t.Errorf("systemctl start failed: %v", result)
	}
	// A warning of systemd is an error here, because the next version may refuse the unit.
	journal := m.Journal(t, "_PID=1", "-o", "cat")
	if !strings.Contains(journal, all[0].app.Name.Instance(1)) {
		t.Errorf("the journal does not mention the units:\n%.2000s", journal)
	}
	for line := range strings.Lines(journal) {
		if strings.Contains(line, "/etc/systemd/system/q") {
			t.Error("PID 1 logged a warning: ", line)
		}
	}
	t.Logf("%d programs started, %d of them by the shim", len(all), shim)
	return from
}
