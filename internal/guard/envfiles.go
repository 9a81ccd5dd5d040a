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

// resolveEnvFiles decides who reads each environment file: PID 1 as root, or the shim as the workers' user. If users other
// than root may replace a file, the shim reads it. These users could replace the file by a link to any file of the machine,
// and PID 1 would read that file. The shim then also reads the files that follow, because their variables must override the
// variables of the earlier file.
func (c *check) resolveEnvFiles() error {
	c.app.EnvFiles = slices.Clone(c.app.EnvFiles)
	first := ""
	for i, f := range c.app.EnvFiles {
		if !f.ByWorker && first == "" && !c.root() {
			writers, err := c.writers(c.envFile(f))
			if err != nil {
				return fmt.Errorf("checking who may change the environment file %q: %w", f.Path, fault.Cause(err))
			}
			if f.ByWorker = len(writers) > 0; f.ByWorker && !c.mayRead(f.Path) {
				return c.refuse(UnsafePath{What: whatEnvFile, Path: f.Path, Writers: c.withNames(writers)})
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

// inWorkerTree reports whether workers that run as root in a sandbox may write where the file is. Such workers could replace
// the file by a link to a file outside the sandbox, and PID 1 would read the linked file.
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
		c.guard.note("env-file: %s is read in the sandbox, because the workers may write there", path)
		return
	}
	c.guard.note("env-file: %s is read as %s and not as root, because users other than root may change it", path, c.who.Name)
}

// mayRead reports whether the mode bits let the workers read a file. mayRead returns true for a missing file and for a file
// with an ACL, because only the start of the app can show whether the workers can read such a file.
func (c *check) mayRead(path string) bool {
	who := c.who
	who.noCapabilities = c.app.Sandbox != units.SandboxOff
	if who.BlockedBy(filepath.Dir(path)+"/.") != "" {
		return false
	}
	info, err := os.Stat(path)
	if err != nil || HasACL(path) {
		return true
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return !ok || who.hasRight(st, toRead)
}
