// Package trust finds users other than root who may change a file or the way to it.
//
// Root and PID 1 obey files: programs, configurations, environment files. A user who may replace such a file, or a
// directory or symbolic link on the way to it, controls what root does. [Checker.Writers] returns these users as values;
// the caller turns them into an error or a note.
package trust

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Reason is the permission that allows a user or group to write.
type Reason string

// The reasons. An owner counts whatever the mode is, because an owner may change the mode.
const (
	Owner     Reason = "owner"
	Group     Reason = "group"
	Everybody Reason = "everybody"
	ACLUser   Reason = "acl-user"
	ACLGroup  Reason = "acl-group"
)

// Writer is a user or group that may change the target of a path.
type Writer struct {
	// Path is the part of the path that may be changed: a directory, a file, or an entry of a sticky directory.
	Path   string
	Reason Reason
	// ID is the uid for Owner and ACLUser, and the gid for Group and ACLGroup.
	ID int
	// Users are the members of a group who are not allowed. The list is empty for an unknown group or unknown members.
	Users []int
}

// Scope is the part of a path that is checked.
type Scope int

const (
	// Place includes writers who may replace the file or directory by another one, but not writers of its contents.
	Place Scope = iota
	// Contents also includes writers of the file itself, or of the directory itself.
	Contents
)

// Checker finds writers, using the accounts of a machine.
type Checker struct{ Accounts Accounts }

// maxLinks is the kernel's limit of symbolic links in one path (MAXSYMLINKS).
const maxLinks = 40

// Writers returns the writers who may change the target of an absolute path, except root and the allowed uids, in the order
// in which the path is followed. It checks each directory, and for each symbolic link the directory of the link and all
// directories to its target. It ends at the first missing part: a user who may create this part is a writer.
//
// In a sticky directory, only the owner of an entry and the owner of the directory may replace the entry. Writers ignores
// mount options: a file system that is read-only today may be writable tomorrow.
func (c Checker) Writers(path string, scope Scope, allowed ...int) ([]Writer, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("%q is not an absolute path", path)
	}
	w := walk{Checker: c, allowed: append([]int{0}, allowed...), scope: scope}
	if err := w.run(path); err != nil {
		return nil, err
	}
	return w.found, nil
}

// walk is the check of one path.
type walk struct {
	Checker
	allowed []int
	scope   Scope
	found   []Writer
}

func (w *walk) run(path string) error {
	at, links := "/", 0
	for rest := parts(path); len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			at = filepath.Dir(at)
			continue
		}
		entry := filepath.Join(at, name)
		info, err := os.Lstat(entry)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if placeErr := w.place(at, entry, info); placeErr != nil || err != nil {
			return placeErr
		}
		if info.Mode().Type() != fs.ModeSymlink {
			at = entry
			continue
		}
		if links++; links > maxLinks {
			return &fs.PathError{Op: "lstat", Path: path, Err: syscall.ELOOP}
		}
		target, err := os.Readlink(entry)
		if err != nil {
			return err
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(parts(target), rest...)
	}
	if w.scope == Place {
		return nil
	}
	return w.contents(at)
}

// parts splits a path. It keeps "..", because a link before it may lead to another directory.
func parts(path string) []string {
	return slices.DeleteFunc(strings.Split(path, "/"), func(s string) bool { return s == "" || s == "." })
}

// place adds writers who may replace an entry of a directory. A nil info means that the entry is missing.
func (w *walk) place(dir, entry string, info fs.FileInfo) error {
	d, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if d.Mode()&fs.ModeSticky == 0 || info == nil {
		return w.contents(dir)
	}
	w.owner(dir, d)
	w.owner(entry, info)
	return nil
}

// contents adds writers of a file or a directory.
func (w *walk) contents(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	w.owner(path, info)
	entries, err := readACL(path)
	if err != nil {
		return err
	}
	if entries == nil {
		mode := info.Mode().Perm()
		entries = []aclEntry{{tag: tagGroupObj, perm: uint16(mode >> 3 & 7)}, {tag: tagOther, perm: uint16(mode & 7)}}
	}
	for _, e := range writersOfACL(entries) {
		switch e.tag {
		case tagUser:
			w.user(path, ACLUser, int(e.id))
		case tagGroupObj:
			w.group(path, Group, int(info.Sys().(*syscall.Stat_t).Gid))
		case tagGroup:
			w.group(path, ACLGroup, int(e.id))
		case tagOther:
			w.add(Writer{Path: path, Reason: Everybody})
		}
	}
	return nil
}

func (w *walk) owner(path string, info fs.FileInfo) {
	w.user(path, Owner, int(info.Sys().(*syscall.Stat_t).Uid))
}

func (w *walk) user(path string, reason Reason, uid int) {
	if !slices.Contains(w.allowed, uid) {
		w.add(Writer{Path: path, Reason: reason, ID: uid})
	}
}

func (w *walk) group(path string, reason Reason, gid int) {
	if users, found := w.Accounts.outsiders(gid, w.allowed); found {
		w.add(Writer{Path: path, Reason: reason, ID: gid, Users: users})
	}
}

// add adds each writer only once: a directory is checked for each of its entries on the path.
func (w *walk) add(writer Writer) {
	same := func(o Writer) bool { return o.Path == writer.Path && o.Reason == writer.Reason && o.ID == writer.ID }
	if !slices.ContainsFunc(w.found, same) {
		w.found = append(w.found, writer)
	}
}

// readACL returns the ACL of a file. It returns nil if the file has none, or if the file system has no ACLs.
func readACL(path string) ([]aclEntry, error) {
	buffer := make([]byte, 4+8*1024)
	n, err := syscall.Getxattr(path, aclName, buffer)
	switch {
	case errors.Is(err, syscall.ENODATA), errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.ENOSYS):
		return nil, nil
	case err != nil:
		return nil, &fs.PathError{Op: "getxattr", Path: path, Err: err}
	}
	entries, err := parseACL(buffer[:n])
	if err != nil {
		return nil, &fs.PathError{Op: "reading", Path: path, Err: err}
	}
	return entries, nil
}
