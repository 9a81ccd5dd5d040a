package deb

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/packaging/apppkg"
)

// A tree is a directory or a file whose content goes into a package. clusterctl opens the directory once, and finds all
// files by the descriptor of this directory. So a user who can write to the directory cannot add other files of this
// machine by a link.
type tree struct {
	// The field top is the path of the tree on this machine.
	top  string
	root *os.Root
	// The field file is the name of the file in root, or empty for a directory.
	file string
}

// openTree opens a tree. If follow is true, top may be a link. Links in the tree are never followed.
func openTree(top string, follow bool) (*tree, error) {
	dir, base := filepath.Split(top)
	path, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	path = filepath.Join(path, base)
	if follow {
		if path, err = filepath.EvalSymlinks(top); err != nil {
			return nil, err
		}
	}
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	t := &tree{top: top}
	if !info.IsDir() {
		path, t.file = filepath.Split(path)
	}
	t.root, err = os.OpenRoot(path)
	return t, err
}

// For a path in the tree, relativePath returns the path relative to t.root. For other paths, it returns false.
func (t *tree) relativePath(p string) (string, bool) {
	if p == t.top {
		return cmp.Or(t.file, "."), true
	}
	rel, ok := strings.CutPrefix(p, strings.TrimSuffix(t.top, "/")+"/")
	return rel, ok && t.file == ""
}

// The method walk calls the function add for each path of the tree.
func (t *tree) walk(ctx context.Context, add func(p string, d fs.DirEntry) error) error {
	from := cmp.Or(t.file, ".")
	return fs.WalkDir(noFollow{t.root}, from, func(rel string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if rel == from {
			return add(t.top, d)
		}
		return add(filepath.Join(t.top, rel), d)
	})
}

// noFollow is a file system in which fs.WalkDir does not follow links, even at the top.
type noFollow struct{ root *os.Root }

func (n noFollow) Open(name string) (fs.File, error)          { return n.root.Open(name) }
func (n noFollow) Stat(name string) (fs.FileInfo, error)      { return n.root.Lstat(name) }
func (n noFollow) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(n.root.FS(), name) }

// treeOf returns the tree that contains a path, and the path relative to the root of the tree.
func (c *collection) treeOf(p string) (*tree, string, error) {
	for _, t := range c.trees {
		if rel, ok := t.relativePath(p); ok {
			return t, rel, nil
		}
	}
	return nil, "", fmt.Errorf("%q: %w", p, fs.ErrNotExist)
}

// The method open opens a regular file of the collection. It returns an error if the file has been replaced.
func (c *collection) open(p string) (*os.File, error) {
	t, rel, err := c.treeOf(p)
	if err != nil {
		return nil, err
	}
	// Use O_NONBLOCK, because the file may have been replaced with a FIFO.
	f, err := t.root.OpenFile(rel, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", p, fault.Cause(err))
	}
	info, err := f.Stat()
	if err == nil && !os.SameFile(info, c.seen[p]) {
		err = &changedError{p}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// The method content returns a reader of a file of the package. The reader returns an error if the content has changed
// since the file was collected.
func (c *collection) content(f apppkg.File) (io.ReadCloser, error) {
	if f.Source == "" {
		return io.NopCloser(bytes.NewReader(f.Data)), nil
	}
	file, err := c.open(f.Source)
	if err != nil {
		return nil, err
	}
	return &checked{file: file, hash: sha256.New(), want: f.Digest, path: f.Source}, nil
}

// A checked reader reads a file. At the end of the file, Read returns an error if the digest is not the expected one.
// The type does not embed the file, because io.Copy would then use WriteTo of the file instead of this Read.
type checked struct {
	file       *os.File
	hash       hash.Hash
	want, path string
}

func (c *checked) Close() error { return c.file.Close() }

func (c *checked) Read(b []byte) (int, error) {
	n, err := c.file.Read(b)
	_, _ = c.hash.Write(b[:n]) // never fails (hash.Hash)
	if err == io.EOF && hex.EncodeToString(c.hash.Sum(nil)) != c.want {
		err = &changedError{c.path}
	}
	return n, err
}

// changedError means that a file has changed while it was packaged.
type changedError struct{ path string }

func (e *changedError) Error() string {
	return fmt.Sprintf("%q has changed while it was packaged", e.path)
}
func (*changedError) Hint() string {
	return "try again when no program writes there, or list the directory under \"writable\""
}

func (c *collection) close() {
	for _, t := range c.trees {
		t.root.Close()
	}
}

// isIncluded reports whether include contains a path or one of its parents.
func isIncluded(include []string, p string) bool {
	return slices.ContainsFunc(include, func(a string) bool { return p == a || strings.HasPrefix(p, a+"/") })
}
