package drain

import (
	"os/exec"
	"slices"
	"testing"
)

// TestPidfds: update removes a process that has left the cgroup before its pidfd was opened, and a process that has ended,
// because another process may get its id.
func TestPidfds(t *testing.T) {
	start := func() *exec.Cmd {
		cmd := exec.Command("/bin/sleep", "1000")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		return cmd
	}
	a, b := start(), start()
	f := make(pidfds)
	defer f.close()
	// The function step calls f.update, and checks which processes f contains afterwards. The list first holds the
	// processes of the cgroup at the beginning of update, and the list second holds its processes after update has
	// opened new pidfds.
	step := func(what string, first, second []int, want ...int) {
		t.Helper()
		lists := [][]int{first, second}
		if _, err := f.update(func() ([]int, error) {
			list := lists[0]
			lists = lists[1:]
			return list, nil
		}); err != nil {
			t.Fatal(err)
		}
		var have []int
		for pid := range f {
			have = append(have, pid)
		}
		slices.Sort(have)
		if !slices.Equal(have, want) {
			t.Errorf("%s: after update, the processes are %v, want %v", what, have, want)
		}
	}
	one, two := a.Process.Pid, b.Process.Pid
	both := []int{min(one, two), max(one, two)}
	step("the second has left the cgroup", both, []int{one}, one)
	fd := f[one]
	step("both run", both, both, both...)
	if f[one] != fd {
		t.Errorf("the pidfd of the first process changed from %d to %d", fd, f[one])
	}
	a.Process.Kill()
	a.Wait()
	step("the first has ended", []int{two}, nil, two)
	if list, err := readProcesses(both, f); err != nil || len(list) != 1 || list[0].pid != two || list[0].pidfd != f[two] {
		t.Errorf("readProcesses returned %+v, %v, want only the second process", list, err)
	}
}
