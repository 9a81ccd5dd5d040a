package main

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/clusterctl/clusterctl/units/install"
)

// storeVariable makes the test binary clusterctl itself, with its store below a directory of the test's own: for tests in
// which a shell calls it.
const storeVariable = "CLUSTERCTL_TEST_STORE"

func TestMain(m *testing.M) {
	dir := os.Getenv(storeVariable)
	if dir == "" {
		// Tests make files, and have programs built, that other users are to reach.
		syscall.Umask(0o022)
		os.Exit(m.Run())
	}
	e := systemEnv()
	e.store = testStore(dir)
	os.Exit(run(context.Background(), e, os.Args))
}

func testStore(dir string) *install.Store {
	return &install.Store{
		Units: filepath.Join(dir, "units"), Config: filepath.Join(dir, "config"),
		Journal: dir,
		State:   filepath.Join(dir, "state"), Run: filepath.Join(dir, "run"), Command: "clusterctl test",
		RuntimeUnits: filepath.Join(dir, "run", "systemd", "system"),
	}
}
