package inspect

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/backoff"
	"github.com/clusterctl/clusterctl/activation/shim/contract"
)

// tree creates a directory with files, and returns its path. The keys of the map files are relative paths, and its values
// are the contents of the files.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestParseMounts(t *testing.T) {
	const (
		v2     = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
		hybrid = "31 30 0:27 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n"
		named  = "32 30 0:28 / /sys/fs/cgroup/systemd rw shared:10 - cgroup cgroup rw,xattr,name=systemd\n"
		memory = "33 30 0:29 / /sys/fs/cgroup/memory rw shared:11 - cgroup cgroup rw,memory\n"
	)
	for text, want := range map[string][2]string{
		"": {}, "x\n": {}, "1 2 3 4 - cgroup2\n": {}, memory: {},
		v2: {"/sys/fs/cgroup", ""}, memory + named + hybrid: {"/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"},
		"30 23 0:26 / /mnt/my\\040groups rw - cgroup2 cgroup2 rw\n" + v2: {"/mnt/my groups", ""},
	} {
		if a, b := parseMounts([]byte(text)); a != want[0] || b != want[1] {
			t.Errorf("%q: got %q, %q, want %q", text, a, b, want)
		}
	}
}

func TestParsers(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"usage_usec 1500\nuser_usec 1\n": 1500 * time.Microsecond, "nr 1\nusage_usec 0\n": 0, "usage_usec x\n": -1,
		"usage_usec -4\n": -1, "": -1,
	} {
		if got, ok := parseCPUStat([]byte(text)); ok != (want >= 0) || ok && got != want {
			t.Errorf("cpu.stat %q: got %v, %v, want %v", text, got, ok, want)
		}
	}
	for text, want := range map[string]int64{
		"55-ff ---p 0 0 0 [rollup]\nRss:      16 kB\nPss:      12 kB\nPss_Dirty: 4 kB\n": 12 << 10, "Pss: 1 MB\n": -1,
		"Pss: x kB\n": -1, "": -1,
	} {
		if got, ok := parseRollup([]byte(text)); ok != (want >= 0) || ok && got != want {
			t.Errorf("smaps_rollup %q: got %v, %v, want %v", text, got, ok, want)
		}
	}
	for text, want := range map[string]int64{"10 3 2 1 0 1 0\n": 3 * int64(os.Getpagesize()), "10": -1, "1 x": -1, "": -1} {
		if got, ok := parseStatm([]byte(text)); ok != (want >= 0) || ok && got != want {
			t.Errorf("statm %q: got %v, %v, want %v", text, got, ok, want)
		}
	}
	for link, want := range map[string]uint64{"socket:[81]": 81, "socket:[]": 0, "socket:[1": 0, "pipe:[1]": 0, "1]": 0, "": 0} {
		if got, ok := socketInode(link); ok != (want > 0) || got != want && ok {
			t.Errorf("link %q: got %d, %v, want %d", link, got, ok, want)
		}
	}
	if got := parsePids([]byte("12\n0\n7\n\nx\n-3\n8")); !slices.Equal(got, []int{12, 7, 8}) {
		t.Errorf("got the process IDs %v, want 12, 7, 8", got)
	}
	if got := parseEnviron([]byte("A=1\x00B=x\ny\x00\x00")); !slices.Equal(got, []string{"A=1", "B=x\ny"}) {
		t.Errorf("got the variables %q", got)
	}
}

// TestCgroup reads a cgroup with a child cgroup, a cgroup without a memory controller, and cgroups that do not exist.
func TestCgroup(t *testing.T) {
	const path = "/clusterctl.slice/web@1.service"
	root := tree(t, map[string]string{
		path + "/cgroup.procs": "3\n4\n", path + "/child/cgroup.procs": "5\n", path + "/cpu.stat": "usage_usec 2000000\n",
		path + "/memory.current": "4096\n", "/bare/cgroup.procs": "7\n8\n9\n", "/cgroup.procs": "1\n",
	})
	proc := tree(t, map[string]string{
		"7/smaps_rollup": "Pss: 4 kB\n", "8/smaps_rollup": "Pss: 8 kB\n", "7/statm": "9 2\n", "8/statm": "9 3\n", "9/smaps_rollup": "",
	})
	h := Host{Proc: proc, Cgroups: root}
	if got := h.Pids(path); !slices.Equal(got, []int{3, 4, 5}) {
		t.Errorf("got %v", got)
	}
	for _, none := range []string{"", "/", "/gone"} {
		if got := h.Pids(none); len(got) > 0 {
			t.Errorf("cgroup %q: got the processes %v", none, got)
		}
		if _, ok := h.CPU(none); ok {
			t.Errorf("cgroup %q has CPU time", none)
		}
		if m, ok := h.Memory(none, nil); ok {
			t.Errorf("cgroup %q: got the memory %+v", none, m)
		}
	}
	if got, ok := h.CPU(path); !ok || got != 2*time.Second {
		t.Errorf("got %v, %v", got, ok)
	}
	if got, ok := h.Memory(path, nil); !ok || got != (Memory{4096, FromCgroup}) {
		t.Errorf("got %+v, %v", got, ok)
	}
	// Without a memory controller, the result is the PSS of all processes that have not ended.
	if got, ok := h.Memory("/bare", []int{7, 8, 9, 10}); !ok || got != (Memory{12 << 10, FromPSS}) {
		t.Errorf("got %+v, %v", got, ok)
	}
	// If the PSS of one process cannot be read, the result is the RSS of all processes. The test replaces the file with the
	// PSS by a directory, so that root cannot read it either.
	if err := errors.Join(os.Remove(proc+"/8/smaps_rollup"), os.Mkdir(proc+"/8/smaps_rollup", 0o755)); err != nil {
		t.Fatal(err)
	}
	if got, ok := h.Memory("/bare", []int{7, 8}); !ok || got != (Memory{5 * int64(os.Getpagesize()), FromRSS}) {
		t.Errorf("got %+v, %v", got, ok)
	}
	v1 := Host{Proc: proc, Named: root}
	if got := v1.Pids(path); len(got) != 3 {
		t.Errorf("got %v", got)
	}
	if _, ok := v1.CPU(path); ok {
		t.Error("CPU returned a time without cgroup v2")
	}
}

func TestSocketsOf(t *testing.T) {
	proc := tree(t, map[string]string{"7/fd/x": "", "9/fd": "not a directory"})
	for i, link := range []string{"socket:[5]", "pipe:[6]", "socket:[7]"} {
		if err := os.Symlink(link, fmt.Sprint(proc, "/7/fd/", i)); err != nil {
			t.Fatal(err)
		}
	}
	h := Host{Proc: proc}
	if got, ok := h.SocketsOf([]int{7, 8}); !ok || len(got) != 2 || !got[5] || !got[7] {
		t.Errorf("got %v, %v", got, ok)
	}
	if got, ok := h.SocketsOf([]int{7, 9}); ok {
		t.Errorf("got %v for a process with unreadable descriptors", got)
	}
}

func TestHolder(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := System()
	tcpPort, udpPort := uint16(tcp.Addr().(*net.TCPAddr).Port), uint16(udp.LocalAddr().(*net.UDPAddr).Port)
	for isUDP, port := range map[bool]uint16{false: tcpPort, true: udpPort} {
		if p, ok := h.Holder(isUDP, port); !ok || p.PID != os.Getpid() || p.Name == "" {
			t.Errorf("port %d: got %+v, %v", port, p, ok)
		}
	}
	if err := errors.Join(tcp.Close(), udp.Close()); err != nil {
		t.Fatal(err)
	}
	if p, ok := h.Holder(false, tcpPort); ok {
		t.Errorf("a closed port: got %+v", p)
	}
}

func TestWorkingState(t *testing.T) {
	for text, want := range map[string]bool{
		"12 (node) R 1": true, "12 (a) b) D 1": true, "12 (R) S 1": false, "12 (a) R": true, "": false, "12": false, "12 (a)": false,
	} {
		if workingState([]byte(text)) != want {
			t.Errorf("stat %q: got %v, want %v", text, !want, want)
		}
	}
}

func TestRuns(t *testing.T) {
	h := Host{Runs: tree(t, map[string]string{"web/1.backoff": "", "web/2.backoff": "damaged"})}
	at := time.Now()
	// The fifth short run has just ended, so the next run starts after a delay.
	state := backoff.State{Failures: 5, Uptime: time.Second, Result: "exit-code", Status: "exited/7"}
	if err := backoff.Save(h.Runs+"/web/1", state); err != nil {
		t.Fatal(err)
	}
	r, ok := h.RunsOf("web", 1)
	if wait := r.Next.Sub(at); !ok || r.Failures != 5 || r.Status != "exited/7" || wait < contract.Delay(5)-time.Second ||
		wait > contract.Delay(5)+time.Minute {
		t.Errorf("got %+v, %v", r, ok)
	}
	state.Started = 1
	if r := runsOf(state, at, at); !r.Next.IsZero() {
		t.Errorf("the program runs: got a next start at %v, want none", r.Next)
	}
	if r := runsOf(backoff.State{GaveUp: true, Failures: 9}, at, at); !r.GaveUp || !r.Next.IsZero() {
		t.Errorf("got %+v", r)
	}
	if r, ok := h.RunsOf("web", 2); !ok || r.Failures != 0 {
		t.Errorf("a damaged file: got %+v, %v, want no failures", r, ok)
	}
	if _, ok := h.RunsOf("web", 3); ok {
		t.Error("RunsOf returned runs of an instance that was never started")
	}
}

// TestLook checks that Look finds an accepted connection, and counts the other connections in the accept queue, for TCP
// over IPv4 and IPv6 and for Unix sockets.
func TestLook(t *testing.T) {
	for _, c := range []struct {
		network, listen, dial string
	}{{"tcp", "127.0.0.1:0", ""}, {"tcp", "[::]:0", "127.0.0.1"}, {"tcp", "[::]:0", "::1"}, {"unix", t.TempDir() + "/s", ""},
		{"unix", "@clusterctl-test-" + fmt.Sprint(os.Getpid()), ""}} {
		t.Run(c.listen+" "+c.dial, func(t *testing.T) {
			l, err := net.Listen(c.network, c.listen)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			at, to := Address{Path: c.listen}, l.Addr().String()
			if a, ok := l.Addr().(*net.TCPAddr); ok {
				at = Address{Port: uint16(a.Port)}
				if c.dial == "" {
					at.Host = netip.MustParseAddr("127.0.0.1")
				} else {
					to = net.JoinHostPort(c.dial, fmt.Sprint(a.Port))
				}
			}
			for i := range 3 {
				conn, err := net.Dial(c.network, to)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if i > 0 {
					continue
				}
				taken, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				defer taken.Close()
			}
			s, err := Look()
			if err != nil {
				t.Fatal(err)
			}
			q, ok := s.Queue(at)
			if !ok || q.Depth != 2 || q.Limit < 2 {
				t.Errorf("the queue of %+v: got %+v, %v", at, q, ok)
			}
			all := s.Connections(at)
			held, ok := System().SocketsOf([]int{os.Getpid()})
			if len(all) != 1 || !ok || !held[all[0]] {
				t.Errorf("connections of %+v: got %v; could read our sockets: %v", at, all, ok)
			}
			if list := s.ListenersAmong(held); slices.Contains(list, at) != (c.network == "tcp") {
				t.Errorf("the listeners of this process are %+v; must contain %+v: %v", list, at, c.network == "tcp")
			}
			if _, ok := s.Queue(Address{Port: 1}); ok {
				t.Error("Queue found a listener on port 1")
			}
		})
	}
}

// TestConnections checks that connections to an address with its own listener do not count for the listener on all
// addresses.
func TestConnections(t *testing.T) {
	local, other := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("10.0.0.1")
	s := Sockets{
		listening:   map[Address]Queue{{Port: 80}: {1, 2}, {Host: local, Port: 80}: {3, 4}},
		connections: map[Address][]uint64{{Host: local, Port: 80}: {1, 2}, {Host: other, Port: 80}: {3}, {Host: other, Port: 81}: {4}},
	}
	if got := s.Connections(Address{Port: 80}); !slices.Equal(got, []uint64{3}) {
		t.Errorf("got %v", got)
	}
	if got := s.Connections(Address{Host: local, Port: 80}); !slices.Equal(got, []uint64{1, 2}) {
		t.Errorf("got %v", got)
	}
	if q, ok := s.Queue(Address{Host: netip.IPv6Unspecified(), Port: 80}); !ok || q != (Queue{1, 2}) {
		t.Errorf("got the queue %+v", q)
	}
}

// TestSystem checks that Memory and Environ can read this process.
func TestSystem(t *testing.T) {
	h := System()
	m, ok := h.Memory("", []int{os.Getpid()})
	if !ok || m.Bytes < 1<<20 || m.Source == FromCgroup {
		t.Errorf("got %+v, %v", m, ok)
	}
	env, err := h.Environ(os.Getpid())
	if err != nil || len(env) == 0 || bytes.ContainsRune([]byte(env[0]), 0) {
		t.Errorf("got %q, error %v", env, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("usage_usec 5\nPss: 1 kB\n1 2\n30 23 0:26 / /x rw - cgroup2 c rw\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, ok := parseCPUStat(b); ok && d < 0 {
			t.Errorf("got %v", d)
		}
		parseRollup(b)
		parseStatm(b)
		parseMounts(b)
		socketInode(string(b))
		for _, pid := range parsePids(b) {
			if pid <= 0 {
				t.Errorf("got the process %d", pid)
			}
		}
	})
}
