package manage

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/clusterctl/clusterctl/activation/shim/socketfile"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/guard"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/install"
)

// accessNotes returns a note for each socket file to which every local user could connect before an update, if fewer users
// can connect afterwards. The note names the users who can still connect. If only root can connect, accessNotes returns no
// note, because the install command prints its own note.
func accessNotes(a units.App, files []install.Change) []string {
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
			before := units.ReadSocket(f.Old)
			mode := cmp.Or(before.Access.Mode, 0o666) // systemd.socket(5)
			hasPath := slices.Contains(before.Listeners, units.Listener{Network: units.Unix, Path: path})
			if changesAccess(f) && mode&0o006 == 0o006 && hasPath {
				notes = append(notes, path+": only "+text)
			}
		}
	}
	return notes
}

// socketOwner returns the user ID and the group ID that the socket files of an app must have.
func socketOwner(s units.SocketAccess) (uid, gid int, err error) {
	if s.User != "" {
		u, err := guard.LookupUser(s.User)
		if err != nil {
			return 0, 0, fmt.Errorf("no such user: %q", s.User)
		}
		if uid, err = strconv.Atoi(u.Uid); err != nil {
			return 0, 0, err
		}
		if gid, err = strconv.Atoi(u.Gid); err != nil {
			return 0, 0, err
		}
	}
	if s.Group != "" {
		g, err := guard.LookupGroup(s.Group)
		if err != nil {
			return 0, 0, fmt.Errorf("no such group: %q", s.Group)
		}
		if gid, err = strconv.Atoi(g.Gid); err != nil {
			return 0, 0, err
		}
	}
	return uid, gid, nil
}

// setSocketAccess sets the owner and mode of the socket files of a running app. PID 1 sets the owner and mode only for a new
// socket file. PID 1 would refuse connections during the replacement of the file.
func (s *Session) setSocketAccess(a units.App) error {
	access := a.SocketAccess()
	uid, gid, err := socketOwner(access)
	if err != nil {
		return err
	}
	for _, path := range a.SocketFiles() {
		set := setAccess
		if filepath.Dir(path) == filepath.Clean(a.Directory) {
			set = socketfile.Set
		}
		switch err := set(path, uid, gid, fs.FileMode(access.Mode)); {
		case errors.Is(err, fs.ErrNotExist):
		case errors.Is(err, errReplaceable), errors.Is(err, socketfile.ErrNotSocket):
			s.Note("%s: the new owner and mode apply when the socket is next opened: sudo clusterctl restart %s", path, a.Name)
		case err != nil:
			return fmt.Errorf("changing the owner and mode of %s: %w", path, fault.Cause(err))
		}
	}
	return nil
}

var errReplaceable = errors.New("users other than root can change the path")

// setAccess changes the owner and mode of a socket file. setAccess returns errReplaceable if users other than root may write
// to a directory of the path, because these users could have replaced the directory by a link to the directory of another
// socket.
func setAccess(path string, uid, gid int, mode fs.FileMode) error {
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return err
	}
	for parent := dir; ; parent = filepath.Dir(parent) {
		info, err := os.Lstat(parent)
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok || st.Uid != 0 || !info.IsDir() || info.Mode().Perm()&0o022 != 0 || guard.HasACL(parent) {
			return errReplaceable
		}
		if parent == "/" {
			break
		}
	}
	return socketfile.Set(filepath.Join(dir, filepath.Base(path)), uid, gid, mode)
}
