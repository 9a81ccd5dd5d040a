//go:build vm && linux && amd64

package vm

import (
	"context"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/image"
)

func TestMain(m *testing.M) { lab.Main(m) }

// verdict is a line of JSON from the guest (see package guest).
type verdict struct {
	Check string  `json:"check"`
	OK    bool    `json:"ok"`
	Took  float64 `json:"seconds"`
	Text  string  `json:"text"`
}

// TestChecks boots the machine once, and runs a subtest for the result of each check. The flag -timeout of go test limits
// the run.
func TestChecks(t *testing.T) {
	ctx, cancel := t.Context(), func() {}
	if end, ok := t.Deadline(); ok {
		// Stop the machine 10 s before the deadline, so that this test can print the console.
		ctx, cancel = context.WithDeadline(ctx, end.Add(-10*time.Second))
	}
	defer cancel()
	initramfs, vmlinuz := prepare(t, ctx)
	defer initramfs.Close()
	accel := accelerator()
	last := ""
	m, err := run(ctx, vmlinuz, initramfs, accel, func(line string, cpu time.Duration) {
		var v verdict
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Errorf("the guest printed the invalid line %q: %v", line, err)
			return
		}
		last = v.Check
		t.Run(v.Check, func(t *testing.T) {
			t.Logf("took %.1f s; CPU time of qemu so far: %.0f s\n%s", v.Took, cpu.Seconds(), v.Text)
			if !v.OK {
				t.Fail()
			}
		})
	})
	t.Logf("%s: %v, %v of CPU", accel, m.took.Round(time.Second/10), m.cpu.Round(time.Second/10))
	if err != nil {
		t.Error(err)
	}
	if last != "end" {
		t.Errorf("the last check is %q, want \"end\"", last)
	}
	if t.Failed() {
		t.Logf("the console:\n%s", m.console)
	}
}

// prepare returns an initramfs with the image, clusterctl, the shim and the examples, and the path of the kernel.
func prepare(t *testing.T, ctx context.Context) (initramfs *os.File, vmlinuz string) {
	t.Helper()
	if err := installTools(ctx, os.Stderr); err != nil {
		t.Fatal(err)
	}
	if err := image.InstallTools(ctx, os.Stderr); err != nil {
		t.Fatal(err)
	}
	img, err := image.Ensure(ctx, image.Bookworm, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer img.InUse.Close()
	dir, err := kernel(ctx, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	g := guestFiles{
		guest: lab.Build(t, "./internal/lab/vm/guest"),
		install: map[string]string{
			"/usr/bin/clusterctl":                             lab.Build(t, "./cmd/clusterctl"),
			"/usr/lib/clusterctl/clusterctl-shim":             lab.Build(t, "./cmd/clusterctl-shim"),
			"/usr/lib/clusterctl/clusterctl-node-preload.cjs": "../../../activation/shim/nodepreload/clusterctl-node-preload.cjs",
			"/srv/hello/server.js":                            "../../../packaging/examples/node-hello/server.js",
			"/srv/wrapped/server.js":                          "../../../packaging/examples/node-hello/server.js",
		},
	}
	f, err := inMemory("initramfs")
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := pack(f, img.Dir, dir, g); err != nil {
		f.Close()
		t.Fatal(err)
	}
	if st, err := f.Stat(); err == nil {
		t.Logf("wrote an archive of %d MB in %v", st.Size()>>20, time.Since(start).Round(time.Second/10))
	}
	return f, dir + "/vmlinuz"
}
