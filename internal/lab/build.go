package lab

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"testing"

	"github.com/clusterctl/clusterctl/internal/lab/image"
)

// modulePath is the module of the commands that Build builds.
const modulePath = "github.com/clusterctl/clusterctl"

// Build builds a command of this module as a static binary, once per test process, and returns the path of the binary on the
// host. pkg is relative to the module's root: "./cmd/clusterctl".
func Build(t testing.TB, pkg string) string {
	t.Helper()
	requireMain(t)
	global.mu.Lock()
	defer global.mu.Unlock()
	out, err := global.build(pkg)
	if err != nil {
		t.Fatalf("lab: building %s: %v", pkg, err)
	}
	return out
}

// The method build builds a command unless s.builds contains its binary. The caller holds s.mu during the build, because
// parallel builds take longer on two cores.
func (s *state) build(pkg string) (string, error) {
	if out, ok := s.builds[pkg]; ok {
		return out, nil
	}
	if s.tmp == "" {
		dir, lock, err := createDir(filepath.Join(image.CacheDir(), "run"), "lab-build-")
		if err != nil {
			return "", err
		}
		s.tmp, s.tmpLock, s.builds = dir, lock, make(map[string]string)
	}
	full := path.Join(modulePath, pkg)
	out := filepath.Join(s.tmp, fmt.Sprintf("%d", len(s.builds)), path.Base(full))
	cmd := exec.Command("go", "build", "-trimpath", "-o", out, full)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var msg bytes.Buffer
	cmd.Stdout, cmd.Stderr = &msg, &msg
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, msg.String())
	}
	s.builds[pkg] = out
	return out, nil
}
