package drain

import (
	"os/exec"
	"slices"
	"testing"
)

// TestFollow: follow drops a process that has left the cgroup before its pidfd was opened. It closes the pidfd of a process
// that has ended, whose id may be reused.
func TestFollow(t *testing.T) {
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
	// step calls follow with the processes that the cgroup has at first, and after new pidfds were opened.
	step := func(what string, first, second []int, want ...int) {
		t.Helper()
		lists := [][]int{first, second}
		if _, err := f.follow(func() ([]int, error) {
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
			t.Errorf("%s: follow returned %v, want %v", what, have, want)
		}
	}
	one, two := a.Process.Pid, b.Process.Pid
	both := []int{min(one, two), max(one, two)}
	step("the second has left", both, []int{one}, one)
	fd := f[one]
	step("both are there", both, both, both...)
	if f[one] != fd {
		t.Error("follow opened a known process again")
	}
	a.Process.Kill()
	a.Wait()
	step("the first has ended", []int{two}, nil, two)
	if list, err := lookAll(both, f); err != nil || len(list) != 1 || list[0].pid != two || list[0].pidfd != f[two] {
		t.Errorf("lookAll returned %+v, %v, want only the second process", list, err)
	}
}
