package main

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/clusterctl/clusterctl/units/install"
)

// storeVariable is the name of a variable that holds the directory of a store. If the variable is set, the test binary
// behaves like clusterctl, so that a test can run it in a shell.
const storeVariable = "CLUSTERCTL_TEST_STORE"

func TestMain(m *testing.M) {
	dir := os.Getenv(storeVariable)
	if dir == "" {
		// Other users must be able to read the files and programs that tests create.
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
