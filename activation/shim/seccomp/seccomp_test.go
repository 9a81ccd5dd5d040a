package seccomp

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// data is struct seccomp_data, the input of a filter.
type data struct {
	nr, arch uint32
	args     [6]uint64
}

// word returns the 32 bits at an offset of struct seccomp_data on a little-endian machine.
func (d data) word(off uint32) uint32 {
	switch {
	case off == 0:
		return d.nr
	case off == 4:
		return d.arch
	case off >= 16 && off < 64:
		return uint32(d.args[(off-16)/8] >> (8 * (off % 8)))
	}
	return 0
}

// run executes a filter and returns its result. run supports the instructions that the filters use.
func run(t *testing.T, p []unix.SockFilter, d data) uint32 {
	t.Helper()
	var a uint32
	for pc, steps := 0, 0; steps < 100; steps++ {
		if pc >= len(p) {
			t.Fatalf("the filter jumped beyond its end, to %d", pc)
		}
		i := p[pc]
		pc++
		jump := func(yes bool) {
			if yes {
				pc += int(i.Jt)
			} else {
				pc += int(i.Jf)
			}
		}
		switch i.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			a = d.word(i.K)
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			jump(a == i.K)
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			jump(a >= i.K)
		case unix.BPF_JMP | unix.BPF_JA:
			pc += int(i.K)
		case unix.BPF_RET | unix.BPF_K:
			return i.K
		default:
			t.Fatalf("unknown instruction %#x", i.Code)
		}
	}
	t.Fatal("the filter does not end")
	return 0
}

func TestProgram(t *testing.T) {
	const shown, allowed = unix.SECCOMP_RET_USER_NOTIF, unix.SECCOMP_RET_ALLOW
	for name, m := range map[string]Machine{"amd64": AMD64(), "arm64": ARM64()} {
		for _, accept := range []bool{false, true} {
			p := Program(m, Calls{Accept: accept, MinAddrLen: 16})
			acceptWant := uint32(allowed)
			if accept {
				acceptWant = shown
			}
			bind := func(n uint64) data { return data{nr: m.Bind, arch: m.Arch, args: [6]uint64{3, 1 << 40, n}} }
			other := uint32(unix.AUDIT_ARCH_I386)
			for i, c := range []struct {
				d    data
				want uint32
			}{
				{bind(16), shown}, {bind(28), shown}, {bind(128), shown}, {bind(12), allowed}, {bind(0), allowed},
				{bind(1<<32 | 12), allowed}, // argument "addrlen" is an int
				{data{nr: m.Listen, arch: m.Arch}, shown},
				{data{nr: m.Accept, arch: m.Arch}, acceptWant},
				{data{nr: m.Accept4, arch: m.Arch}, acceptWant},
				{data{nr: m.Shutdown, arch: m.Arch, args: [6]uint64{3, unix.SHUT_RD}}, shown},
				{data{nr: m.Shutdown, arch: m.Arch, args: [6]uint64{3, unix.SHUT_RDWR}}, shown},
				{data{nr: m.Shutdown, arch: m.Arch, args: [6]uint64{3, 1<<32 | unix.SHUT_RDWR}}, shown}, // argument "how" is an int
				{data{nr: m.Shutdown, arch: m.Arch, args: [6]uint64{3, unix.SHUT_WR}}, allowed},
				{data{nr: m.Shutdown, arch: other, args: [6]uint64{3, unix.SHUT_RDWR}}, allowed},
				{data{nr: m.Bind + 1000, arch: m.Arch}, allowed},
				{data{nr: m.Bind, arch: other, args: bind(16).args}, allowed},
				{data{nr: m.Listen, arch: other}, allowed},
				{data{nr: m.Listen | m.X32Bit, arch: m.Arch}, map[bool]uint32{true: shown, false: allowed}[m.X32Bit == 0]},
			} {
				if got := run(t, p, c.d); got != c.want {
					t.Errorf("%s, accept %v, case %d: the filter returned %#x, want %#x", name, accept, i, got, c.want)
				}
			}
		}
	}
}

// TestProgramPaths: with Paths, the filter shows calls that change files, and connect(2) with an address that may be one of
// the paths. Without Paths it shows neither.
func TestProgramPaths(t *testing.T) {
	const shown, allowed = unix.SECCOMP_RET_USER_NOTIF, unix.SECCOMP_RET_ALLOW
	for name, m := range map[string]Machine{"amd64": AMD64(), "arm64": ARM64()} {
		for _, c := range []struct {
			paths []string
			shown map[uint64]uint32 // by addrlen
		}{
			{nil, map[uint64]uint32{3: allowed, 16: allowed, 28: allowed, 110: allowed}},
			{[]string{"/run/app.sock"}, map[uint64]uint32{2: allowed, 3: shown, 15: shown, 16: shown, 28: allowed, 110: shown}},
			{[]string{"/run/application/a.sock"}, map[uint64]uint32{16: allowed, 28: allowed, 25: shown, 110: shown}},
			{[]string{"/run/application/12.sock", "/x"}, map[uint64]uint32{16: allowed, 26: shown, 27: shown, 28: allowed}},
			{[]string{"/run/application/1234.sock"}, map[uint64]uint32{16: allowed, 28: shown}},
		} {
			p := Program(m, Calls{MinAddrLen: 2, Paths: c.paths})
			for n, want := range c.shown {
				if got := run(t, p, data{nr: m.Connect, arch: m.Arch, args: [6]uint64{3, 1 << 40, n}}); got != want {
					t.Errorf("%s, paths %q: the filter returned %#[4]x for connect with %[3]d bytes, want %#[5]x", name,
						c.paths, n, got, want)
				}
			}
			want := uint32(allowed)
			if c.paths != nil {
				want = shown
			}
			for _, nr := range m.Path.numbers() {
				if got := run(t, p, data{nr: nr, arch: m.Arch}); got != want {
					t.Errorf("%s, paths %q: the filter returned %#[4]x for call %[3]d, want %#[5]x", name, c.paths, nr, got, want)
				}
			}
			if got := run(t, p, data{nr: m.Bind, arch: m.Arch, args: [6]uint64{3, 1 << 40, 2}}); got != shown {
				t.Errorf("%s, paths %q: the filter returned %#x for bind, want %#x", name, c.paths, got, uint32(shown))
			}
		}
	}
}

// TestAnyShutdown: with AnyShutdown the filter also shows shutdown(SHUT_WR).
func TestAnyShutdown(t *testing.T) {
	m := AMD64()
	p := Program(m, Calls{MinAddrLen: 16, AnyShutdown: true})
	for how := range uint64(3) {
		if got := run(t, p, data{nr: m.Shutdown, arch: m.Arch, args: [6]uint64{3, how}}); got != unix.SECCOMP_RET_USER_NOTIF {
			t.Errorf("the filter returned %#x for shutdown(%d), want SECCOMP_RET_USER_NOTIF", got, how)
		}
	}
	if got := run(t, p, data{nr: m.Bind, arch: m.Arch, args: [6]uint64{3, 0, 12}}); got != unix.SECCOMP_RET_ALLOW {
		t.Errorf("the filter returned %#x for a bind with a short address, want SECCOMP_RET_ALLOW", got)
	}
}

// TestNativeNumbers: the numbers of the native machine are the same as in package unix.
func TestNativeNumbers(t *testing.T) {
	m, ok := Native()
	if !ok {
		t.Fatal("Native returned false for this architecture, want true")
	}
	if m.Bind != unix.SYS_BIND || m.Listen != unix.SYS_LISTEN || m.Accept != unix.SYS_ACCEPT || m.Accept4 != unix.SYS_ACCEPT4 ||
		m.Connect != unix.SYS_CONNECT || m.Shutdown != unix.SYS_SHUTDOWN || m.Setsockopt != unix.SYS_SETSOCKOPT || m.Path != nativePaths() {
		t.Errorf("the numbers differ from package unix: %+v", m)
	}
	if err := Check(); err != nil {
		t.Errorf("Check returned %v, want nil", err)
	}
}

func TestAtLeast(t *testing.T) {
	for _, c := range []struct {
		release string
		want    bool
	}{
		{"5.9.0", true}, {"5.10.0-8-amd64", true}, {"6.18.44-fc", true}, {"5.8.18", false}, {"4.18.0-553.el8", false},
		{"5.9", true}, {"6", true}, {"5", false}, {"", false}, {"x.y", false}, {"99999999999999999999.1", true},
	} {
		if got := atLeast(c.release, 5, 9); got != c.want {
			t.Errorf("atLeast(%q, 5, 9) = %v, want %v", c.release, got, c.want)
		}
	}
}

func TestRefusal(t *testing.T) {
	for e, want := range map[unix.Errno]error{unix.ENOSYS: ErrKernel, unix.EINVAL: ErrKernel, unix.EBUSY: ErrBusy,
		unix.EPERM: ErrForbidden, unix.ENOMEM: unix.ENOMEM} {
		if got := refusal(e); !errors.Is(got, want) {
			t.Errorf("refusal(%v) = %v, want %v", e, got, want)
		}
	}
}
