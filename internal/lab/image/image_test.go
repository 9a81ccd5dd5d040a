package image

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// childEnv is a variable that makes the test binary build an image.
const childEnv = "CLUSTERCTL_LAB_IMAGE_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		m.Run()
		return
	}
	if _, err := Ensure(context.Background(), Bookworm, os.Stdout); err != nil {
		os.Stdout.WriteString("failed: " + err.Error() + "\n")
	}
}

// TestKilledBuild kills a build while it unpacks packages. All processes of the build must end, no image may exist, and the
// next build must remove the temporary files.
func TestKilledBuild(t *testing.T) {
	cache := t.TempDir()
	cmd, failed := startUnpacking(t, cache)
	if failed != "" {
		// The mirror may have a temporary error, so try once more.
		t.Log(failed)
		if cmd, failed = startUnpacking(t, cache); failed != "" {
			t.Fatal(failed)
		}
	}
	first := descendant(t, cmd.Process.Pid)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	awaitEnd(t, first)

	t.Setenv(CacheEnv, cache)
	left := entries(t, filepath.Join(cache, "images"))
	if !slices.ContainsFunc(left, func(s string) bool { return strings.HasPrefix(s, ".tmp-bookworm-") }) {
		t.Errorf("the killed build has no temporary files, only %q", left)
	}
	rec, err := recipeOf(Bookworm)
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(left, rec.name(Bookworm)) {
		t.Errorf("an incomplete image exists: %q", left)
	}
	// The next build fails because of its mirror, but must remove the files first.
	t.Setenv(MirrorEnv, "http://user:secret@127.0.0.1:9/debian")
	if _, err := Ensure(t.Context(), Bookworm, io.Discard); err == nil {
		t.Error("Ensure returned no error with a mirror that does not exist")
	} else if strings.Contains(err.Error(), "127.0.0.1") || strings.Contains(err.Error(), "secret") {
		t.Errorf("the error contains the address of the mirror: %v", err)
	}
	for _, e := range entries(t, filepath.Join(cache, "images")) {
		if !strings.HasSuffix(e, ".lock") {
			t.Errorf("the cache contains %s after the failed build", e)
		}
	}
}

// startUnpacking starts a build and returns when the build unpacks packages. If the build fails earlier, it returns
// the message of the build.
func startUnpacking(t *testing.T, cache string) (build *exec.Cmd, failed string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv+"=1", CacheEnv+"="+cache)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		switch {
		case strings.Contains(lines.Text(), "extracting archives"):
			return cmd, ""
		case strings.Contains(lines.Text(), "failed: "):
			failed = lines.Text()
			for lines.Scan() {
				failed += "\n" + lines.Text()
			}
			_ = cmd.Wait()
			return nil, failed
		}
	}
	t.Fatalf("the build ended without a message: %v, %v", lines.Err(), cmd.Wait())
	return nil, ""
}

// descendant returns a pidfd of the first process in the PID namespace of a build. This process is a child of unshare, which
// is a child of pid.
func descendant(t *testing.T, pid int) int {
	t.Helper()
	for range 2 {
		out, err := exec.Command("ps", "-o", "pid=", "--ppid", strconv.Itoa(pid)).Output()
		if err != nil {
			t.Fatalf("finding the children of %d: %v", pid, err)
		}
		f := strings.Fields(string(out))
		if len(f) != 1 {
			t.Fatalf("process %d has the children %q, want one child", pid, f)
		}
		if pid, err = strconv.Atoi(f[0]); err != nil {
			t.Fatal(err)
		}
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func awaitEnd(t *testing.T, pidfd int) {
	t.Helper()
	deadline := time.Now().Add(patience.For(5 * time.Minute))
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int(time.Until(deadline).Milliseconds()))
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil || n == 0:
			t.Fatalf("the first process of the build has not ended: %v", err)
		default:
			return
		}
	}
}

func entries(t *testing.T, dir string) []string {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range all {
		names = append(names, e.Name())
	}
	return names
}

// TestUnknownRelease checks that the error contains the name of the unknown release.
func TestUnknownRelease(t *testing.T) {
	t.Setenv(CacheEnv, t.TempDir())
	if _, err := Ensure(t.Context(), "potato", io.Discard); err == nil || !strings.Contains(err.Error(), `"potato"`) {
		t.Errorf("got %v, want an error with the name", err)
	}
}

// TestRecipeNames checks that two releases, or two versions of a recipe, never have the same directory name.
func TestRecipeNames(t *testing.T) {
	seen := make(map[string]bool)
	for _, r := range append(All(), Workers) {
		rec, err := recipeOf(r)
		if err != nil {
			t.Fatal(err)
		}
		again, err := recipeOf(r)
		if err != nil {
			t.Fatal(err)
		}
		if rec.name(r) != again.name(r) {
			t.Errorf("two calls return different names for %s", r)
		}
		seen[rec.name(r)] = true
		rec.packages = append(rec.packages, "one-more")
		seen[rec.name(r)] = true
		rec.hook += "true\n"
		seen[rec.name(r)] = true
	}
	if want := 3 * len(append(All(), Workers)); len(seen) != want {
		t.Errorf("got %d names, want %d", len(seen), want)
	}
}

// TestRemoveOutdated checks that an image of an earlier recipe is removed, unless a machine uses it.
func TestRemoveOutdated(t *testing.T) {
	root := t.TempDir()
	dir := func(hash string) string { return filepath.Join(root, "bookworm-"+hash) }
	for _, h := range []string{"000000000000", "111111111111", "222222222222"} {
		if err := os.Mkdir(dir(h), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	inUse, err := open(Bookworm, dir("111111111111"))
	if err != nil {
		t.Fatal(err)
	}
	removeOutdated(root, Bookworm, dir("222222222222"))
	want := []string{"bookworm-111111111111", "bookworm-111111111111.lock", "bookworm-222222222222"}
	if got := entries(t, root); !slices.Equal(got, want) {
		t.Errorf("got the files %q, want %q", got, want)
	}
	inUse.InUse.Close()
	removeOutdated(root, Bookworm, dir("222222222222"))
	if got := entries(t, root); !slices.Equal(got, []string{"bookworm-222222222222"}) {
		t.Errorf("got the files %q, want only the current image", got)
	}
}

// TestPickMirror checks that pickMirror returns a repository with complete Debian releases.
func TestPickMirror(t *testing.T) {
	const targets = `http://a.example/debian-security/|bookworm-security|main|Packages
http://b.example/debian/|bookworm-updates|main|Packages
http://c.example/debian/|bookworm|contrib|Packages
http://d.example/debian/|bookworm|main|Translations
http://e.example/node/|nodistro|main|Packages
http://f.example/debian/|bookworm|main|Packages
http://g.example/debian/|sid|main|Packages
`
	if got := pickMirror(targets); got != "http://f.example/debian/" {
		t.Errorf("got %q, want the mirror f.example", got)
	}
	if got := pickMirror("http://u.example/ubuntu/|noble|main|Packages\n"); got != "" {
		t.Errorf("got %q for a host without a Debian mirror, want none", got)
	}
}

// TestProgress checks that the log contains whole lines of mmdebstrap, without addresses.
func TestProgress(t *testing.T) {
	var log bytes.Buffer
	p := &progress{log: &log, hide: "mirror.example"}
	for _, s := range []string{"I: fetch", "ing from https://user:secret@mirror.example/debian now\nE: not this\n",
		"I: unfinished with mirror.example"} {
		if _, err := io.WriteString(p, s); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := log.String(), "lab:   fetching from <uri> now\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := redact(p.all.String(), p.hide); strings.Contains(got, "secret") || strings.Contains(got, "mirror.example") ||
		!strings.Contains(got, "E: not this") {
		t.Errorf("got the error output %q, want it without addresses", got)
	}
}
