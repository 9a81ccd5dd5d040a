package httpclose

import (
	"os"
	"testing"
)

func TestKernelCounters(t *testing.T) {
	c, err := kernelCounters()
	if err != nil {
		t.Fatal(err)
	}
	if c.received <= 0 || c.next <= 0 || c.copied <= 0 || c.written <= 0 || c.unacknowledged <= 0 || c.next == c.copied {
		t.Errorf("%+v", c)
	}
}

// TestMembers reads BTF of our own, with the array behind the names that it does not have.
func TestMembers(t *testing.T) {
	b := stateTypes(7)
	if err := members(b, "tcp_sock", nil); err == nil {
		t.Error("a struct was found where there is none")
	}
	for n := range b {
		if err := members(b[:n], "tcp_sock", nil); err == nil {
			t.Errorf("cut at %d: no error", n)
		}
	}
}

func FuzzMembers(f *testing.F) {
	f.Add(stateTypes(1))
	if b, err := os.ReadFile(vmlinux); err == nil {
		f.Add(b[:min(len(b), 1<<12)])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var offset int16
		_ = members(b, "int", map[string]*int16{"int": &offset})
	})
}
