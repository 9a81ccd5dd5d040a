package main

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // what dpkg --verify compares
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/clusterctl/clusterctl/packaging/apppkg"
)

// build writes the tree of a package and has dpkg-deb make it. The package appears by rename, whole or not at all.
func (e *env) build(ctx context.Context, p apppkg.Package, c *collection, to string) error {
	dir := filepath.Dir(to)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("creating %q: %w", dir, cause(err))
	}
	tmp, err := os.MkdirTemp(dir, ".clusterctl-package-")
	if err != nil {
		return fmt.Errorf("writing in %q: %w", dir, cause(err))
	}
	defer os.RemoveAll(tmp)
	root := filepath.Join(tmp, "root")
	if err := stage(ctx, root, p, c.content); err != nil {
		return err
	}
	epoch := e.getenv("SOURCE_DATE_EPOCH")
	if epoch == "" {
		epoch = fmt.Sprint(c.newest.Unix())
	}
	deb := filepath.Join(tmp, "x.deb")
	// xz, since the dpkg of Debian 11 does not know zstd; one thread, since their number changes the bytes.
	if _, err := e.tool(ctx, []string{"SOURCE_DATE_EPOCH=" + epoch, "DPKG_DEB_THREADS_MAX=1"},
		"dpkg-deb", "--root-owner-group", "-Zxz", "--build", root, deb); err != nil {
		return err
	}
	if err := os.Rename(deb, to); err != nil {
		return fmt.Errorf("writing %q: %w", to, cause(err))
	}
	return nil
}

// stage lays a package out as dpkg-deb wants it.
func stage(ctx context.Context, root string, p apppkg.Package, open opener) error {
	var sums bytes.Buffer
	conffiles := map[string]bool{}
	for _, f := range p.Control {
		if f.Path == "conffiles" {
			for line := range strings.Lines(string(f.Data)) {
				conffiles[strings.TrimSpace(line)] = true
			}
		}
	}
	for _, f := range p.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		sum, err := place(root, f, open)
		if err != nil {
			return err
		}
		if sum != "" && !conffiles[f.Path] {
			fmt.Fprintf(&sums, "%s  %s\n", sum, strings.TrimPrefix(f.Path, "/"))
		}
	}
	control := append([]apppkg.File{{Path: "md5sums", Mode: 0o644, Data: sums.Bytes()}}, p.Control...)
	for _, f := range control {
		f.Path = "DEBIAN/" + f.Path
		if _, err := place(root, f, open); err != nil {
			return err
		}
	}
	// The umask has no say in a package.
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(path, 0o755)
		}
		return err
	})
}

// opener opens the content of a file of a package.
type opener func(apppkg.File) (io.ReadCloser, error)

// place makes one file below root and gives its MD5, if it has content.
func place(root string, f apppkg.File, open opener) (string, error) {
	path := filepath.Join(root, f.Path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	switch {
	case f.Mode.IsDir():
		return "", os.MkdirAll(path, 0o755)
	case f.Mode&fs.ModeSymlink != 0:
		return "", os.Symlink(f.Link, path)
	}
	from, err := open(f)
	if err != nil {
		return "", err
	}
	defer from.Close()
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.Mode.Perm())
	if err != nil {
		return "", err
	}
	h := md5.New() //nolint:gosec // see above
	_, err = io.Copy(io.MultiWriter(out, h), from)
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Chmod(path, f.Mode.Perm())
	}
	return hex.EncodeToString(h.Sum(nil)), err
}
