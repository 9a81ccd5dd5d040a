package manage

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/socketfile"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/guard"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/install"
)

// noteLostAccess names the sockets to which every local user could connect before a change, and who can now.
func (s *Session) noteLostAccess(a units.App, files []install.Change) {
	for _, note := range lostAccess(a, files) {
		s.Note("%s", note)
	}
}

// lostAccess returns a note for each socket file that a change closes to other users. An install notes the sockets that only
// root can reach.
func lostAccess(a units.App, files []install.Change) []string {
	access := a.SocketAccess()
	who := []string{"root"}
	if access.User != "" && access.User != "root" {
		who = append(who, access.User)
	}
	switch {
	case access.Group != "":
		who = append(who, "the group "+access.Group)
	case access.User != "":
		who = append(who, "the group of "+access.User)
	}
	if len(who) == 1 || access.Mode&0o006 == 0o006 {
		return nil
	}
	text := strings.Join(who[:len(who)-1], ", ") + " and " + who[len(who)-1] + " can connect"
	if a.Socket.Group == "" {
		text += "; for a web server: --socket-group www-data"
	}
	var notes []string
	for _, path := range a.SocketFiles() {
		for _, f := range files {
			was := units.ReadSocket(f.Old)
			mode := cmp.Or(was.Access.Mode, 0o666) // systemd.socket(5)
			isOpen := slices.Contains(was.Listeners, units.Listener{Network: units.Unix, Path: path})
			if changesAccess(f) && mode&0o006 == 0o006 && isOpen {
				notes = append(notes, path+": only "+text)
			}
		}
	}
	return notes
}

// socketOwner returns the ids that the files of the app's sockets get.
func socketOwner(s units.SocketAccess) (uid, gid int, err error) {
	if s.User != "" {
		u, err := guard.LookupUser(s.User)
		if err != nil {
			return 0, 0, fmt.Errorf("no such user: %q", s.User)
		}
		if uid, gid, err = ids(u); err != nil {
			return 0, 0, err
		}
	}
	if s.Group != "" {
		g, err := guard.LookupGroup(s.Group)
		if err != nil {
			return 0, 0, fmt.Errorf("no such group: %q", s.Group)
		}
		if gid, err = strconv.Atoi(g.Gid); err != nil {
			return 0, 0, fmt.Errorf("the group %q has no id: %w", s.Group, err)
		}
	}
	return uid, gid, nil
}

func ids(u *user.User) (uid, gid int, err error) {
	uid, uidErr := strconv.Atoi(u.Uid)
	gid, gidErr := strconv.Atoi(u.Gid)
	return uid, gid, errors.Join(uidErr, gidErr)
}

// setSocketAccess gives the socket files of an app that runs the owner and the mode of its description. PID 1 sets both
// only when it makes a socket, and to make it again would refuse clients.
func (s *Session) setSocketAccess(a units.App) error {
	access := a.SocketAccess()
	uid, gid, err := socketOwner(access)
	if err != nil {
		return err
	}
	for _, path := range a.SocketFiles() {
		switch err := changeAccess(a, path, uid, gid, access.Mode); {
		case errors.Is(err, fs.ErrNotExist):
		case errors.Is(err, errNotOurs), errors.Is(err, socketfile.ErrNotSocket):
			s.Note("%s: the new owner and mode apply when the socket is next opened: sudo clusterctl restart %s", path, a.Name)
		case err != nil:
			return fmt.Errorf("changing the owner and mode of %s: %w", path, fault.Cause(err))
		}
	}
	return nil
}

func changeAccess(a units.App, path string, uid, gid int, mode uint16) error {
	if filepath.Dir(path) == filepath.Clean(a.Directory) {
		return socketfile.Set(path, uid, gid, fs.FileMode(mode))
	}
	return setAccess(path, uid, gid, mode)
}

// errNotOurs: the path is not a socket, or somebody else could put another file in its place.
var errNotOurs = errors.New("the path can be changed by others than root")

// setAccess changes the owner and mode of a socket file. It refuses a path of which any directory is writable for
// others than root: they could have put a link to another file there.
func setAccess(path string, uid, gid int, mode uint16) error {
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return err
	}
	for at := dir; ; at = filepath.Dir(at) {
		info, err := os.Lstat(at)
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok || st.Uid != 0 || !info.IsDir() || info.Mode().Perm()&0o022 != 0 || guard.HasACL(at) {
			return errNotOurs
		}
		if at == "/" {
			break
		}
	}
	real := filepath.Join(dir, filepath.Base(path))
	if info, err := os.Lstat(real); err != nil {
		return err
	} else if info.Mode().Type() != fs.ModeSocket {
		return errNotOurs
	}
	if err := unix.Lchown(real, uid, gid); err != nil {
		return err
	}
	return os.Chmod(real, fs.FileMode(mode))
}
