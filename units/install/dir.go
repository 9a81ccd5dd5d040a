package install

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"
	"time"
)

// dir is an open directory. All accesses to files use the open directory, so no path is resolved twice and no symbolic link
// leads out of the directory.
type dir struct {
	root *os.Root
	path string
	step func(format string, args ...any)
}

// maxFile is the maximum size of a file that is read. Units are much smaller.
const maxFile = 64 << 20

// openDir opens a directory for reading.
func openDir(name string) (*dir, error) {
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, pathError("opening", name, err)
	}
	return &dir{root: root, path: name, step: func(string, ...any) {}}, nil
}

// The method open opens a directory for changes.
func (s Store) open(name string) (*dir, error) {
	d, err := openDir(name)
	if err == nil {
		d.step = s.step
	}
	return d, err
}

// makeTries is the maximum number of attempts to create a directory. A command for another app may remove the directory
// while it is empty.
const makeTries = 100

// The method ensure opens a directory, and creates the directory and its parents if they are missing. Callers use [retry],
// because another command may remove the directory while it is empty.
func (s Store) ensure(name string, mode fs.FileMode) (*dir, error) {
	if d, err := s.open(name); !errors.Is(err, fs.ErrNotExist) {
		return d, err
	}
	parent := filepath.Dir(name)
	p, err := s.ensure(parent, 0o755)
	if err != nil {
		return nil, err
	}
	defer p.close()
	if err := p.mkdir(filepath.Base(name), mode); err != nil {
		return nil, err
	}
	if err := p.sync("."); err != nil {
		return nil, err
	}
	return s.open(name)
}

// The function retry calls the function attempt again if another command has removed the directory that attempt uses.
func retry(attempt func() error) error {
	var err error
	for range makeTries {
		if err = attempt(); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return err
}

func (d *dir) close() { _ = d.root.Close() }

func (d *dir) join(rel string) string { return filepath.Join(d.path, rel) }

// The method read returns the contents and attributes of a regular file. The error is a [*ForeignError] if the path is not a
// regular file or leads through a symbolic link, and a [*ChangedError] if the file is replaced during the call. A FIFO does
// not block the call.
func (d *dir) read(rel string) (data []byte, a attrs, err error) {
	defer func() {
		switch err.(type) {
		case nil, *ForeignError, *ChangedError:
		default:
			err = pathError("reading", d.join(rel), err)
		}
	}()
	if parent := path.Dir(rel); parent != "." {
		info, err := d.root.Lstat(parent)
		if err != nil {
			return nil, a, err
		}
		if !info.IsDir() {
			return nil, a, d.wrongType(parent, info)
		}
	}
	before, err := d.root.Lstat(rel)
	if err != nil {
		return nil, a, err
	}
	if !before.Mode().IsRegular() {
		return nil, a, d.wrongType(rel, before)
	}
	f, err := d.root.OpenFile(rel, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, a, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, a, err
	}
	if !os.SameFile(before, info) {
		return nil, a, &ChangedError{Path: d.join(rel)}
	}
	data, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("is larger than %d bytes", maxFile)
	}
	if err == nil {
		a, err = attrsOf(f, info)
	}
	if err != nil {
		return nil, a, err
	}
	return data, a, nil
}

// wrongType returns an error that describes a directory entry of the wrong type.
func (d *dir) wrongType(rel string, info fs.FileInfo) *ForeignError {
	e := &ForeignError{Path: d.join(rel)}
	switch info.Mode().Type() {
	case fs.ModeSymlink:
		target, err := d.root.Readlink(rel)
		e.Masked = err == nil && target == os.DevNull
		e.Type = "a symbolic link to " + target
	case fs.ModeDir:
		e.Type = "a directory"
	case 0:
		e.Type = "a file where a directory should be"
	default:
		e.Type = "not a regular file"
	}
	return e
}

// The method create removes an existing file or symbolic link, writes a new file of the same name, and syncs the new file.
func (d *dir) create(rel string, data []byte, a attrs) (err error) {
	if err := d.remove(rel); err != nil {
		return err
	}
	d.step("create %s", rel)
	f, err := d.root.OpenFile(rel, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return pathError("creating", d.join(rel), err)
	}
	defer func() {
		if closeErr := f.Close(); err == nil && closeErr != nil {
			err = pathError("writing", d.join(rel), closeErr)
		}
	}()
	d.step("write %s", rel)
	_, err = f.Write(data)
	if err == nil {
		err = a.applyTo(f)
	}
	if err == nil {
		d.step("sync %s", rel)
		err = f.Sync()
	}
	if err != nil {
		return pathError("writing", d.join(rel), err)
	}
	return nil
}

// The method remove removes a file or an empty directory. A missing file is not an error.
func (d *dir) remove(rel string) error {
	if _, err := d.root.Lstat(rel); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	d.step("remove %s", rel)
	if err := d.root.Remove(rel); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return pathError("removing", d.join(rel), err)
	}
	return nil
}

// removeEmpty removes a directory if it is empty, and does nothing otherwise.
func (d *dir) removeEmpty(rel string) error {
	info, err := d.root.Lstat(rel)
	if err != nil || !info.IsDir() {
		return nil
	}
	d.step("rmdir %s", rel)
	err = d.root.Remove(rel)
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST) ||
		errors.Is(err, syscall.EBUSY) {
		return nil
	}
	return pathError("removing", d.join(rel), err)
}

func (d *dir) removeAll(rel string) error {
	if _, err := d.root.Lstat(rel); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	d.step("remove all %s", rel)
	if err := d.root.RemoveAll(rel); err != nil {
		return pathError("removing", d.join(rel), err)
	}
	return nil
}

func (d *dir) mkdir(rel string, mode fs.FileMode) error {
	d.step("mkdir %s", rel)
	err := d.root.Mkdir(rel, mode)
	if errors.Is(err, fs.ErrExist) {
		if info, err := d.root.Lstat(rel); err == nil && !info.IsDir() {
			return d.wrongType(rel, info)
		}
		return nil
	}
	if err == nil {
		err = d.root.Chmod(rel, mode) // again, because the umask applies to Mkdir
	}
	if err != nil {
		return pathError("creating", d.join(rel), err)
	}
	return nil
}

// The method rename renames a file within the directory, and replaces an existing file.
func (d *dir) rename(from, to string) error {
	d.step("rename %s %s", from, to)
	if err := d.root.Rename(from, to); err != nil {
		return pathError("replacing", d.join(to), err)
	}
	return nil
}

// renameNew renames a file within the directory, and returns a [*ChangedError] if the new name exists. renameNew creates a
// hard link, because rename(2) does not detect an existing file.
func (d *dir) renameNew(from, to string) error {
	d.step("link %s %s", from, to)
	err := d.root.Link(from, to)
	switch {
	case err == nil:
		return d.remove(from)
	case errors.Is(err, fs.ErrExist):
		return &ChangedError{Path: d.join(to)}
	}
	// The file system does not support hard links, so rename the file.
	return d.rename(from, to)
}

// keepCopy gives the file a second name, a hard link, so that the file can be restored later. A hard link needs no disk
// space and keeps all attributes. If the file system does not support hard links, keepCopy writes a copy with the given
// contents and attributes.
func (d *dir) keepCopy(rel, as string, data []byte, a attrs) error {
	if err := d.remove(as); err != nil {
		return err
	}
	d.step("link %s %s", rel, as)
	if err := d.root.Link(rel, as); err == nil {
		return nil
	}
	return d.create(as, data, a)
}

// The method touch sets the modification time of a file to now. systemd sets NeedDaemonReload only if the file on disk is
// newer than the file that it has loaded (core/unit.c, fragment_mtime_newer). So a restored file must be newer than the file
// that it replaces.
func (d *dir) touch(rel string, now time.Time) error {
	d.step("touch %s", rel)
	if err := d.root.Chtimes(rel, now, now); err != nil {
		return pathError("restoring", d.join(rel), err)
	}
	return nil
}

// The method sync syncs a directory, so that the names of its files are on the disk.
func (d *dir) sync(rel string) error {
	d.step("sync %s", rel)
	f, err := d.root.Open(rel)
	if err != nil {
		return pathError("syncing", d.join(rel), err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return pathError("syncing", d.join(rel), err)
	}
	return nil
}
