//go:build linux

package install

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// holdLock is the helper that takes the lock and holds it until its standard input ends.
func holdLock(s Store) int {
	s.Command = "clusterctl scale shop 4"
	if _, err := s.Lock(context.Background(), "shop", nil); err != nil {
		panic(err)
	}
	fmt.Println("held")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// countUp is the helper that increments a number in a file 50 times. countUp holds the lock during each increment, and
// removes the lock file after every second one.
func countUp(s Store, path string) int {
	for i := range 50 {
		l, err := s.Lock(context.Background(), "shop", nil)
		if err != nil {
			panic(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			panic(err)
		}
		n, _ := strconv.Atoi(string(data))
		if err := os.WriteFile(path, []byte(strconv.Itoa(n+1)), 0o644); err != nil {
			panic(err)
		}
		if i%2 == 0 {
			err = l.Remove()
		} else {
			err = l.Unlock()
		}
		if err != nil {
			panic(err)
		}
	}
	return 0
}

// asUser is the helper that calls the store as a user other than root.
func asUser(s Store) int {
	if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(65534), syscall.Setuid(65534)); err != nil {
		panic(err)
	}
	_, err := s.Lock(context.Background(), "shop", nil)
	fmt.Printf("lock: %v %v\n", errors.Is(err, fs.ErrPermission), err)
	_, _, err = s.Pending("shop")
	fmt.Printf("pending: %v %v\n", errors.Is(err, fs.ErrPermission), err)
	_, err = s.Begin(makePlan(panicTB{}, s, app(2)))
	fmt.Printf("begin: %v %v\n", errors.Is(err, fs.ErrPermission), err)
	a, err := s.Load("shop")
	fmt.Printf("load: %d %v\n", a.Instances.N, err)
	return 0
}

// The function hold starts the helper holdLock, and returns when the helper holds the lock.
func hold(t *testing.T, root string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], root)
	cmd.Env = append(os.Environ(), "CLUSTERCTL_INSTALL_HELPER=hold")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "held\n" {
		t.Fatalf("the first line of the helper: got %q, error %v, want held", line, err)
	}
	return cmd
}

// TestLockWaits checks that a process that waits for the lock receives the owner of the lock, and gets the lock when the
// owner is killed.
func TestLockWaits(t *testing.T) {
	root := newRoot(t)
	s := storeAt(root)
	cmd := hold(t, root)
	var owner Owner
	calls := 0
	l, err := s.Lock(t.Context(), "shop", func(o Owner) {
		owner = o
		calls++
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if calls != 1 || owner.PID != cmd.Process.Pid || owner.Command != "clusterctl scale shop 4" || !owner.Since.Equal(s.now()) {
		t.Errorf("got %d calls of onWait with the owner %+v, want 1 call with PID %d", calls, owner, cmd.Process.Pid)
	}
	// Each app has its own lock.
	other, err := s.Lock(t.Context(), "mailer", func(Owner) { t.Error("Lock waits for the lock of another app") })
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(s.Run, "shop.lock")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the lock file: got the mode %v, error %v, want 600", info.Mode(), err)
	}
	for range 2 {
		if err := errors.Join(l.Unlock(), other.Remove()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(s.Run, "mailer.lock")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the lock file after Remove: got %v, want fs.ErrNotExist", err)
	}
}

// TestLockCanceled checks that a canceled wait does not hold the lock, even if the lock becomes free after the cancellation.
func TestLockCanceled(t *testing.T) {
	root := newRoot(t)
	s := storeAt(root)
	first, err := s.Lock(t.Context(), "shop", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = s.Lock(ctx, "shop", func(Owner) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want context.Canceled", err)
	}
	if err := first.Unlock(); err != nil {
		t.Fatal(err)
	}
	// The goroutine of the canceled wait may get the lock first, but then releases the lock immediately.
	l, err := s.Lock(t.Context(), "shop", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.Run); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory of the locks after Remove: got %v, want fs.ErrNotExist", err)
	}
}

// TestLockExcludes checks that only one process holds the lock at any time, even while processes remove and create the lock
// file.
func TestLockExcludes(t *testing.T) {
	root := newRoot(t)
	path := filepath.Join(root, "number")
	write(t, path, "0")
	const processes = 4
	var cmds []*exec.Cmd
	for range processes {
		cmd, _ := startHelper(t, "count", root, path)
		cmds = append(cmds, cmd)
	}
	for _, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if got := string(read(t, path)); got != strconv.Itoa(processes*50) {
		t.Errorf("got the number %s, want %d", got, processes*50)
	}
}

func TestLockRefusesLinks(t *testing.T) {
	root := newRoot(t)
	s := storeAt(root)
	victim := filepath.Join(root, "victim")
	write(t, victim, "precious")
	if err := os.MkdirAll(s.Run, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{victim, "../../victim", "absent"} {
		link := filepath.Join(s.Run, "shop.lock")
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		_, err := s.Lock(t.Context(), "shop", nil)
		if foreign, ok := errors.AsType[*ForeignError](err); !ok || foreign.Path != link {
			t.Errorf("link to %s: got %v, want a ForeignError", target, err)
		}
		if err := os.Remove(link); err != nil {
			t.Fatal(err)
		}
	}
	if got := string(read(t, victim)); got != "precious" {
		t.Errorf("the target of the link: got %q, want \"precious\"", got)
	}
}

// TestNotRoot checks that a user other than root gets fs.ErrPermission for all changes, and can load the app.
func TestNotRoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("this test requires root, because it changes to another user: sudo make test")
	}
	root := newRoot(t)
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	s := storeAt(root)
	apply(t, s, app(1))
	apply(t, s, app(2))
	cmd, out := startHelper(t, "user", root)
	data, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(string(data), root, "")
	want := `lock: true creating "/run/clusterctl": permission denied
pending: true reading "/var/lib/clusterctl/shop": permission denied
begin: true opening "/var/lib/clusterctl": permission denied
load: 2 <nil>
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
