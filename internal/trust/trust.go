// Package trust finds users other than root who may change a file, or replace a directory or link in its path.
//
// Root and PID 1 run programs, and read configurations and environment files. A user who may change such a file or a part
// of its path controls what root does. [Checker.Writers] returns these users. The caller turns the result into an error
// or a note.
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

// Reason is the permission by which a user or group may write.
type Reason string

// The reasons. The owner of a file is always a writer, because the owner may change the mode.
const (
	Owner     Reason = "owner"
	Group     Reason = "group"
	Everybody Reason = "everybody"
	ACLUser   Reason = "acl-user"
	ACLGroup  Reason = "acl-group"
)

// Writer is a user or group that may change the file of a path, or replace a part of the path.
type Writer struct {
	// Path is the file or directory that the writer may change, or the entry of a sticky directory that the writer may
	// replace.
	Path   string
	Reason Reason
	// ID is a uid if Reason is Owner or ACLUser, and a gid if Reason is Group or ACLGroup.
	ID int
	// Users has the known members of the group, except the allowed users. The list can be empty if the group has unknown
	// members.
	Users []int
}

// Scope selects the writers to return.
type Scope int

const (
	// Place selects writers who may replace the file or directory, or a part of its path.
	Place Scope = iota
	// Contents also selects writers who may write to the file or directory.
	Contents
)

// Checker finds writers. The field Accounts has the users and groups of the machine.
type Checker struct{ Accounts Accounts }

// maxLinks is the maximum number of symbolic links in a path (MAXSYMLINKS of the kernel).
const maxLinks = 40

// Writers returns the writers of an absolute path, except root and the allowed uids, in the order of the path. It checks all
// directories of the path, and for each symbolic link also all directories in the path of its target. Writers stops at the
// first missing part of the path. The users who may create this part are writers.
//
// In a sticky directory, only the owner of an entry and the owner of the directory may replace the entry. Writers does
// not check whether a file system is mounted read-only, because this can change.
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

// A walk is the check of one path.
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

// parts returns the elements of a path. It keeps "..", because after a link, ".." is the parent of the target.
func parts(path string) []string {
	return slices.DeleteFunc(strings.Split(path, "/"), func(s string) bool { return s == "" || s == "." })
}

// The method place adds the writers who may replace an entry of a directory. The parameter info is the result of Lstat for
// the entry, or nil if the entry does not exist.
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

// The method contents adds the writers who may write to a file or a directory.
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

// The method add adds a writer that is not in the list yet. A directory can be checked more than once, because a path with
// links or ".." can pass it more than once.
func (w *walk) add(writer Writer) {
	same := func(o Writer) bool { return o.Path == writer.Path && o.Reason == writer.Reason && o.ID == writer.ID }
	if !slices.ContainsFunc(w.found, same) {
		w.found = append(w.found, writer)
	}
}

// readACL returns the ACL of a file, or nil if the file has no ACL or the file system does not support ACLs.
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
