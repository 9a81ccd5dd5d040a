package probe

import (
	"os"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestSleepOf(t *testing.T) {
	for line, want := range map[string]time.Duration{
		"running\n": 0, "-1 0x7ffe 0x7f\n": 0, "": 0, "281 0xd": 0, "9999 0x0 0x0 0x0 0x1 0x0 0x0 0x7f 0x7f": 0,
		numbers(t).epoll + " 0xd 0x7ffe 0x400 0x3a98 0x0 0x8 0x7ffe 0x7f10\n":     15 * time.Second,
		numbers(t).epoll + " 0xd 0x7ffe 0x400 0xffffffff 0x0 0x8 0x7ffe 0x7f10\n": 0, // without a timeout
		numbers(t).epoll + " 0xd 0x7ffe 0x400 word 0x0 0x8 0x7ffe 0x7f10\n":       0,
		numbers(t).sleep + " 0x0 0x0 0x0 0x0 0x0 0x0 0x7ffe 0x7f10\n":             0, // without a struct
	} {
		if got := sleepOf(line, os.Getpid()); got != want {
			t.Errorf("sleepOf(%q) = %v, want %v", line, got, want)
		}
	}
}

type callNumbers struct{ epoll, sleep string }

func numbers(t *testing.T) callNumbers {
	t.Helper()
	if runtime.GOARCH == "arm64" {
		return callNumbers{"22", "115"}
	}
	return callNumbers{"281", "230"}
}

// TestTimeOf calls timeOf for structs in the memory of this process.
func TestTimeOf(t *testing.T) {
	for _, c := range []struct {
		value unix.Timespec
		unit  time.Duration
		want  time.Duration
	}{
		{unix.Timespec{Sec: 15, Nsec: 500_000_000}, time.Nanosecond, 15500 * time.Millisecond},
		{unix.Timespec{Sec: 15, Nsec: 500_000}, time.Microsecond, 15500 * time.Millisecond},
		{unix.Timespec{Sec: 1, Nsec: 1_000_000}, time.Microsecond, 0},
		{unix.Timespec{Sec: -1}, time.Nanosecond, 0},
		{unix.Timespec{Sec: 1 << 40}, time.Nanosecond, 0},
	} {
		at := new(unix.Timespec)
		*at = c.value
		if got := timeOf(os.Getpid(), uint64(uintptr(unsafe.Pointer(at))), c.unit); got != c.want {
			t.Errorf("timeOf(%+v) = %v, want %v", c.value, got, c.want)
		}
	}
	if got := timeOf(os.Getpid(), 1<<63, time.Nanosecond); got != 0 {
		t.Errorf("timeOf(address of the kernel) = %v, want 0", got)
	}
}
