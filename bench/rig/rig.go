// Package rig runs the benchmark machine: a booted Debian 12 of package lab with clusterctl, the peers and the measuring
// tools. It has functions that run a program on each side.
package rig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab"
)

// Paths in the machine.
const (
	Dir    = "/opt/bench"
	inside = Dir + "/inside"
	// PM2PID is the file with the PID of PM2's daemon.
	PM2PID = "/root/.pm2/pm2.pid"
)

// File is a file that is copied into the machine.
type File struct{ From, To string }

// Rig is one booted machine. The caller must call Close.
type Rig struct {
	m     *lab.Machine
	files []File
	log   io.Writer
	help  map[string]string // help texts of clusterctl's commands, by name
}

// Boot boots a machine and copies the files into the machine.
func Boot(ctx context.Context, files []File, log io.Writer) (*Rig, error) {
	return boot(ctx, lab.Bench, files, log)
}

// Newer boots a second machine with Debian 13 and the same files, but without peers, to measure a newer systemd than the
// one of Debian 12.
func (r *Rig) Newer(ctx context.Context) (*Rig, error) { return boot(ctx, lab.Trixie, r.files, r.log) }

func boot(ctx context.Context, release lab.Release, files []File, log io.Writer) (*Rig, error) {
	m, err := lab.Open(ctx, release, log)
	if err != nil {
		return nil, err
	}
	r := &Rig{m: m, files: files, log: log, help: map[string]string{}}
	for _, f := range files {
		if err := r.copyIn(ctx, f); err != nil {
			return nil, errors.Join(err, m.Close())
		}
	}
	return r, nil
}

// Close ends the machine and everything in it.
func (r *Rig) Close() error { return r.m.Close() }

// Machine returns the machine, for load from outside.
func (r *Rig) Machine() *lab.Machine { return r.m }

func (r *Rig) copyIn(ctx context.Context, f File) error {
	in, err := os.Open(f.From)
	if err != nil {
		return err
	}
	defer in.Close()
	mode := "0644"
	if fi, err := in.Stat(); err == nil && fi.Mode()&0o111 != 0 {
		mode = "0755"
	}
	cmd := r.m.Command(ctx, "install", "-D", "-m", mode, "/dev/stdin", f.To)
	cmd.Stdin = in
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("copying %s: %w\n%s", f.To, err, out)
	}
	return nil
}

// Run runs a command in the machine and returns its stdout. Run returns an error if the exit status is not 0.
func (r *Rig) Run(ctx context.Context, argv ...string) (string, error) {
	res := r.m.Run(ctx, argv...)
	if res.Code == 0 {
		return res.Stdout, nil
	}
	message := strings.TrimSpace(res.Stderr)
	if len(message) > 400 {
		message = "…" + strings.ToValidUTF8(message[len(message)-400:], "") // the end of the message contains the reason
	}
	err := fmt.Errorf("%s: exit status %d: %s", strings.Join(argv, " "), res.Code, message)
	return res.Stdout, errors.Join(err, ctx.Err())
}

// Inside runs a subcommand of the measuring program in the machine and decodes its output into v, unless v is nil.
func (r *Rig) Inside(ctx context.Context, v any, args ...string) error {
	out, err := r.Run(ctx, append([]string{inside}, args...)...)
	if err != nil || v == nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), v); err != nil {
		return fmt.Errorf("inside %s: %w", args[0], err)
	}
	return nil
}

// Help returns the help text of a command of clusterctl, or "" if the command does not exist.
func (r *Rig) Help(ctx context.Context, command string) string {
	h, known := r.help[command]
	if !known {
		// clusterctl help fails if the command does not exist.
		if res := r.m.Run(ctx, "clusterctl", "help", command); res.Code == 0 {
			h = res.Stdout
		}
		r.help[command] = h
	}
	return h
}

// Time runs a command n times and returns the milliseconds of each run.
func (r *Rig) Time(ctx context.Context, n int, argv ...string) ([]float64, error) {
	var t struct {
		MS []float64 `json:"ms"`
	}
	err := r.Inside(ctx, &t, append([]string{"time", "-n", fmt.Sprint(n), "--"}, argv...)...)
	return t.MS, err
}

// Await waits until all ports respond.
func (r *Rig) Await(ctx context.Context, ports ...int) error {
	for _, p := range ports {
		if err := r.Inside(ctx, nil, "await", "-port", fmt.Sprint(p)); err != nil {
			return err
		}
	}
	return nil
}

// The method Same returns an error unless all ports return the same status and the same bytes.
func (r *Rig) Same(ctx context.Context, path string, ports ...int) error {
	type answer struct {
		Status int    `json:"status"`
		Body   string `json:"body"`
	}
	var first answer
	for i, p := range ports {
		var a answer
		if err := r.Inside(ctx, &a, "fetch", "-port", fmt.Sprint(p), "-path", path); err != nil {
			return err
		}
		if i == 0 {
			first = a
		}
		if a != first || a.Status == 0 {
			return fmt.Errorf("port %d returns %d %q, but port %d returns %d %q", ports[0], first.Status, first.Body, p, a.Status, a.Body)
		}
	}
	return nil
}

// Usage is the resource usage of a group of processes.
type Usage struct {
	Processes int     `json:"processes"`
	PSS       float64 `json:"pss_kb"`
	CPU       float64 `json:"cpu_us"`
	Switches  int64   `json:"switches"`
}

// Usage returns the usage of processes, one result for each selector. Memory is included only if requested, because that
// is slow.
func (r *Rig) Usage(ctx context.Context, memory bool, selectors ...string) ([]Usage, error) {
	args := []string{"usage"}
	if memory {
		args = append(args, "-pss")
	}
	var u []Usage
	err := r.Inside(ctx, &u, append(args, selectors...)...)
	if err == nil && len(u) != len(selectors) {
		err = fmt.Errorf("usage: %d results for %d selectors", len(u), len(selectors))
	}
	return u, err
}

// Pause waits until the duration has passed or the context has ended.
func (r *Rig) Pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// The method Rest waits until the programs of the machine are idle, because programs may still be loading when the command
// that started them returns. Rest returns after half a minute even if the programs are not idle.
func (r *Rig) Rest(ctx context.Context) error {
	const look, busy = 300 * time.Millisecond, 30_000 // a tenth of a CPU, in microseconds
	var last Usage
	for begin := time.Now(); time.Since(begin) < 30*time.Second; {
		u, err := r.Usage(ctx, false, "all")
		if err != nil {
			return err
		}
		if d := u[0].CPU - last.CPU; u[0].Processes == last.Processes && d >= 0 && d < busy {
			return nil
		}
		last = u[0]
		if err := r.Pause(ctx, look); err != nil {
			return err
		}
	}
	return nil
}

// Files returns the files for each machine. bin contains clusterctl, clusterctl-shim and inside; root is the source tree.
func Files(bin, root string) []File {
	files := []File{
		{filepath.Join(bin, "clusterctl"), "/usr/bin/clusterctl"},
		{filepath.Join(bin, "clusterctl-shim"), "/usr/lib/clusterctl/clusterctl-shim"},
		{filepath.Join(bin, "inside"), inside},
		{filepath.Join(root, "activation/shim/nodepreload/clusterctl-node-preload.cjs"), "/usr/lib/clusterctl/clusterctl-node-preload.cjs"},
		{filepath.Join(root, "packaging/examples/cluster-2021/child.js"), Dir + "/child.js"},
	}
	for _, app := range []string{"hello.js", "hello.py", "cluster.js", "chatty.js"} {
		files = append(files, File{filepath.Join(root, "bench/apps", app), Dir + "/" + app})
	}
	return files
}
