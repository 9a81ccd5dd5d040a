package install

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/clusterctl/clusterctl/units"
)

func TestRemoveLimits(t *testing.T) {
	top := t.TempDir()
	s := Store{Units: filepath.Join(top, "system"), RuntimeUnits: filepath.Join(top, "run", "system")}
	write := func(name, data string) string {
		t.Helper()
		path := filepath.Join(top, "system.control", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const set = setByProperty + "\n# or an equivalent operation. Do not edit.\n[Slice]\nMemoryMax=1\n"
	var ours, others []string
	for _, name := range []string{"clusterctl-limits.slice.d/50-MemoryMax.conf", "limits@2.service.d/50-CPUQuota.conf",
		"limits.service.d/50-x.conf"} {
		ours = append(ours, write(name, set))
	}
	for _, name := range []string{"limits.socket.d/50-x.conf", "limits-b@2.service.d/50-x.conf", "clusterctl-other.slice.d/50-x.conf"} {
		others = append(others, write(name, set))
	}
	others = append(others, write("clusterctl-limits.slice.d/mine.conf", "[Slice]\n"))
	got, err := s.RemoveLimits(units.App{Name: "limits"})
	slices.Sort(got)
	slices.Sort(ours)
	if err != nil || !slices.Equal(got, ours) {
		t.Errorf("removed %q, error %v, want %q", got, err, ours)
	}
	for _, path := range others {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(top, "system.control/limits@2.service.d")); err == nil {
		t.Error("RemoveLimits did not remove an empty directory")
	}
	if got, err := s.RemoveLimits(units.App{Name: "limits"}); len(got) > 0 || err != nil {
		t.Errorf("second call: removed %q, error %v, want nothing", got, err)
	}
}
