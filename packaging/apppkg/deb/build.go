package deb

import (
	"bytes"
	"context"
	"crypto/md5" // dpkg --verify compares MD5 checksums
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/packaging/apppkg"
)

// The function build writes the files of a package into a temporary directory, and runs dpkg-deb. When the package is
// complete, build renames it to its final path.
func (m *Maker) build(ctx context.Context, p apppkg.Package, newest time.Time, open opener, to string) error {
	dir := filepath.Dir(to)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("creating %q: %w", dir, fault.Cause(err))
	}
	w, err := openWorkDir(dir)
	if err != nil {
		return fmt.Errorf("writing in %q: %w", dir, fault.Cause(err))
	}
	defer w.close()
	if err := writeTree(ctx, w.root, p, open); err != nil {
		return err
	}
	epoch := m.Getenv("SOURCE_DATE_EPOCH")
	if epoch == "" {
		epoch = fmt.Sprint(newest.Unix())
	}
	// Use xz, because the dpkg of Debian 11 does not support zstd. Use one thread, because the number of threads changes
	// the bytes of the package.
	if _, err := m.tool(ctx, []string{"SOURCE_DATE_EPOCH=" + epoch, "DPKG_DEB_THREADS_MAX=1"},
		"dpkg-deb", "--root-owner-group", "-Zxz", "--build", w.path(treeName), w.path("x.deb")); err != nil {
		return err
	}
	if err := w.dir.Rename(w.name+"/x.deb", filepath.Base(to)); err != nil {
		return fmt.Errorf("writing %q: %w", to, fault.Cause(err))
	}
	return nil
}

// In a workDir, the directory treeName contains the files of the package.
const treeName = "root"

// writeTree writes the files of a package and DEBIAN/ into root/treeName, for dpkg-deb.
func writeTree(ctx context.Context, root *os.Root, p apppkg.Package, open opener) error {
	var sums bytes.Buffer
	for _, f := range p.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		sum, err := writeFile(root, f, open)
		if err != nil {
			return err
		}
		if sum != "" && !slices.Contains(p.Conffiles, f.Path) {
			fmt.Fprintf(&sums, "%s  %s\n", sum, strings.TrimPrefix(f.Path, "/"))
		}
	}
	control := append([]apppkg.File{{Path: "md5sums", Mode: 0o644, Data: sums.Bytes()}}, p.Control...)
	for _, f := range control {
		f.Path = "DEBIAN/" + f.Path
		if _, err := writeFile(root, f, open); err != nil {
			return err
		}
	}
	// Set the modes of directories, because the umask has changed them.
	return fs.WalkDir(root.FS(), treeName, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = root.Chmod(path, 0o755)
		}
		return err
	})
}

// An opener returns a reader of the content of a file.
type opener func(apppkg.File) (io.ReadCloser, error)

// writeFile writes one file, directory or link into root/treeName. For a file, it returns the MD5 of the content.
func writeFile(root *os.Root, f apppkg.File, open opener) (string, error) {
	path := filepath.Join(treeName, f.Path)
	if err := root.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	switch {
	case f.Mode.IsDir():
		return "", root.MkdirAll(path, 0o755)
	case f.Mode&fs.ModeSymlink != 0:
		return "", root.Symlink(f.Link, path)
	}
	from, err := open(f)
	if err != nil {
		return "", err
	}
	defer from.Close()
	out, err := root.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.Mode.Perm())
	if err != nil {
		return "", err
	}
	h := md5.New()
	_, err = io.Copy(io.MultiWriter(out, h), from)
	if err == nil {
		err = out.Chmod(f.Mode.Perm())
	}
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	return hex.EncodeToString(h.Sum(nil)), err
}

// workDir is a temporary directory in a directory that may belong to another user. This user could replace the workDir
// with another directory. So clusterctl uses only the descriptor of the directory that it has opened.
type workDir struct {
	dir, root *os.Root
	name      string
	handle    *os.File
}

func openWorkDir(dir string) (_ *workDir, err error) {
	w := &workDir{name: ".clusterctl-package-" + rand.Text()}
	if w.dir, err = os.OpenRoot(dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if err = w.dir.Mkdir(w.name, 0o700); err != nil {
		return nil, err
	}
	if w.root, err = w.dir.OpenRoot(w.name); err != nil {
		return nil, err
	}
	if w.handle, err = w.root.Open("."); err != nil {
		return nil, err
	}
	info, err := w.handle.Stat()
	if err != nil {
		return nil, err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != os.Geteuid() || info.Mode().Perm() != 0o700 {
		return nil, &changedError{filepath.Join(dir, w.name)}
	}
	return w, nil
}

// For a file in the workDir, the method path returns a path that another program can open.
func (w *workDir) path(name string) string {
	return fmt.Sprintf("/proc/%d/fd/%d/%s", os.Getpid(), w.handle.Fd(), name)
}

func (w *workDir) close() {
	_ = w.dir.RemoveAll(w.name)
	if w.handle != nil {
		w.handle.Close()
	}
	if w.root != nil {
		w.root.Close()
	}
	w.dir.Close()
}
