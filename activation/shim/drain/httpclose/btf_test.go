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
		t.Errorf("kernelCounters returned %+v, want different offsets above 0", c)
	}
}

// TestMembers: the function members returns an error for BTF without the struct, and for
// truncated BTF.
func TestMembers(t *testing.T) {
	b := stateTypes(7)
	if err := members(b, "tcp_sock", nil); err == nil {
		t.Error("members of BTF without the struct returned nil, want an error")
	}
	for n := range b {
		if err := members(b[:n], "tcp_sock", nil); err == nil {
			t.Errorf("members of the first %d bytes of BTF returned nil, want an error", n)
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
