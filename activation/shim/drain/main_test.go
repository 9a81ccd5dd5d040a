package drain_test

import (
	"os"
	"testing"

	"github.com/clusterctl/clusterctl/activation/shim/drain"
)

// TestMain runs the tests, or a helper: the tests start the test binary again, with the name of a helper as its argument.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "drain":
			os.Exit(drain.Main(os.Args[2:], os.Getenv, os.Stderr))
		case "serve":
			os.Exit(serve(os.Args[2:]))
		case "run":
			os.Exit(run(os.Args[2]))
		case "notify":
			os.Exit(notify(os.Args[2]))
		case "sleep":
			forever()
		case "wait":
			waitForChild()
			os.Exit(1) // waitForChild has failed; the helper must not run the tests
		case "compute":
			for n := 0; ; n++ {
			}
		}
	}
	os.Exit(m.Run())
}
