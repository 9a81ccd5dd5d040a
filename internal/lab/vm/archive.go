package vm

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// archive writes a cpio archive in the format "newc", which the kernel unpacks as its first root file system
// (Documentation/driver-api/early-userspace/buffer-format.rst). The first error is in err, and close returns it.
type archive struct {
	w     *bufio.Writer
	at    int64
	inode uint32
	err   error
}

func newArchive(w io.Writer) *archive { return &archive{w: bufio.NewWriterSize(w, 1<<20)} }

// entry is one file of the archive.
type entry struct {
	name     string // relative to the root
	mode     uint32 // st_mode
	uid, gid uint32
	mtime    int64
	size     int64
	device   uint64
	body     io.Reader
}

func (a *archive) add(e entry) {
	if a.err != nil {
		return
	}
	a.inode++ // a hard link is written as another file
	links := 1
	if e.mode&unix.S_IFMT == unix.S_IFDIR {
		links = 2
	}
	name := e.name + "\x00"
	a.text(fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", a.inode, e.mode, e.uid, e.gid, links,
		uint32(e.mtime), e.size, 0, 0, unix.Major(e.device), unix.Minor(e.device), len(name), 0))
	a.text(name)
	a.pad()
	if e.body != nil && a.err == nil {
		n, err := io.Copy(a.w, io.LimitReader(e.body, e.size))
		a.at += n
		if a.err = err; err == nil && n != e.size {
			a.err = fmt.Errorf("%s has become shorter while it was read", e.name)
		}
	}
	a.pad()
}

// The method text writes a string, such as a header or padding.
func (a *archive) text(s string) {
	if a.err != nil {
		return
	}
	n, err := a.w.WriteString(s)
	a.at += int64(n)
	a.err = err
}

// The method pad writes zeros up to the next multiple of four bytes.
func (a *archive) pad() { a.text("\x00\x00\x00"[:-a.at&3]) }

func (a *archive) close() error {
	a.add(entry{name: "TRAILER!!!"})
	if a.err == nil {
		a.err = a.w.Flush()
	}
	return a.err
}

// The method dir adds a directory.
func (a *archive) dir(name string) { a.add(entry{name: name, mode: unix.S_IFDIR | 0o755}) }

// The method file adds a file with the content. The kernel uses the last entry of each name.
func (a *archive) file(name, content string, perm uint32) {
	a.add(entry{name: name, mode: unix.S_IFREG | perm, size: int64(len(content)), body: strings.NewReader(content)})
}

func (a *archive) link(name, to string) {
	a.add(entry{name: name, mode: unix.S_IFLNK | 0o777, size: int64(len(to)), body: strings.NewReader(to)})
}

// The method copy adds a file from the host.
func (a *archive) copy(name, path string, perm uint32) {
	f, err := os.Open(path)
	if err != nil {
		a.fail(err)
		return
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		a.fail(err)
		return
	}
	a.add(entry{name: name, mode: unix.S_IFREG | perm, size: st.Size(), body: f})
}

func (a *archive) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}

// The method tree adds all files below a directory of the host, except files and directories for which skip returns true.
func (a *archive) tree(root string, skip func(name string) bool) {
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if skip(name) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if err := a.addPath(name, path); err != nil {
			return err
		}
		return a.err
	})
	if err != nil {
		a.fail(err)
	}
}

// addPath adds a file of the host under the given name, with its owner and mode.
func (a *archive) addPath(name, path string) error {
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		return err
	}
	e := entry{name: name, mode: st.Mode, uid: st.Uid, gid: st.Gid, mtime: st.Mtim.Sec, device: st.Rdev}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFSOCK:
		return nil
	case unix.S_IFLNK:
		to, err := os.Readlink(path)
		if err != nil {
			return err
		}
		e.size, e.body = int64(len(to)), strings.NewReader(to)
	case unix.S_IFREG:
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		e.size, e.body = st.Size, f
	}
	a.add(e)
	return nil
}

// parents adds the parent directories of a file that are not in made, and adds them to made.
func (a *archive) parents(name string, made map[string]bool) {
	dir := filepath.Dir(name)
	if dir == "/" || made[dir] {
		return
	}
	made[dir] = true
	a.parents(dir, made)
	a.dir(strings.TrimPrefix(dir, "/"))
}
