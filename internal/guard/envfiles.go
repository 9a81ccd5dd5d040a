package guard

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/units"
)

// resolveEnvFiles decides for each environment file whether PID 1 reads it, as root, or the shim, as the workers' user. The
// shim reads a file that others than root may replace, because root would read whatever they put in its place. The shim
// also reads all files after such a file, so that their variables still override its variables.
func (c *check) resolveEnvFiles() error {
	c.app.EnvFiles = slices.Clone(c.app.EnvFiles)
	first := ""
	for i, f := range c.app.EnvFiles {
		if !f.ByWorker && first == "" && !c.root() {
			writers, err := c.ask(c.envFile(f))
			if err != nil {
				return fmt.Errorf("checking who may change the environment file %q: %w", f.Path, fault.Cause(err))
			}
			if f.ByWorker = len(writers) > 0; f.ByWorker && !c.mayRead(f.Path) {
				return c.refuse(UnsafePath{What: whatEnvFile, Path: f.Path, Writers: c.named(writers)})
			}
		}
		if !f.ByWorker && first == "" && c.inWorkerTree(f.Path) && c.mayRead(f.Path) {
			f.ByWorker = true
		}
		if first != "" && !f.ByWorker {
			if f.ByWorker = true; !c.mayRead(f.Path) {
				err := fmt.Errorf("%s must be able to read the environment file %q, because it follows %q", c.who.Name, f.Path, first)
				return fault.WithHint(err, "name %s before %s", f.Path, first)
			}
		}
		if f.ByWorker && first == "" {
			first = f.Path
		}
		if f.ByWorker && !c.app.EnvFiles[i].ByWorker {
			c.noteWorkerReads(f.Path)
		}
		c.app.EnvFiles[i] = f
	}
	return nil
}

// inWorkerTree reports whether workers that run as root in a sandbox could replace the file by a link to a file that is
// visible only outside of the sandbox, where PID 1 reads.
func (c *check) inWorkerTree(path string) bool {
	if !c.root() || c.app.Sandbox == units.SandboxOff {
		return false
	}
	end, links := Follow(path)
	places := []string{filepath.Clean(path), end}
	for _, l := range links {
		places = append(places, l.At)
	}
	return slices.ContainsFunc(c.app.WritableTrees(), func(tree string) bool {
		tree = filepath.Clean(tree)
		target, _ := Follow(tree)
		return slices.ContainsFunc(places, func(p string) bool {
			return p == tree || Inside(p, tree) || p == target || Inside(p, target)
		})
	})
}

func (c *check) noteWorkerReads(path string) {
	if c.root() {
		c.guard.note("env-file: %s is read in the sandbox, since the workers may write there", path)
		return
	}
	c.guard.note("env-file: %s is read as %s and not as root, since others than root may change it", path, c.who.Name)
}

// mayRead reports whether the mode bits let the workers read a file. It returns true for a missing file and for a file with
// an ACL. The start of the app detects these errors.
func (c *check) mayRead(path string) bool {
	who := c.who
	who.bare = c.app.Sandbox != units.SandboxOff
	if who.BlockedBy(filepath.Dir(path)+"/.") != "" {
		return false
	}
	info, err := os.Stat(path)
	if err != nil || HasACL(path) {
		return true
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return !ok || who.has(st, toRead)
}
