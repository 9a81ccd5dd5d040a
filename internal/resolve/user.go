package resolve

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/guard"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
)

// chooseUser makes the owner of the directory the user of the workers, unless that is root.
func (r *Resolver) chooseUser(a *units.App, owner uint32) {
	if owner == 0 {
		return
	}
	u, err := user.LookupId(strconv.Itoa(int(owner)))
	if err != nil {
		return
	}
	a.RunAs = units.RunAs{User: u.Username}
	r.offerDynamic(*a, u)
}

// checkUser refuses a user and a group that do not exist.
func checkUser(as units.RunAs) error {
	if as.User != "" {
		if _, err := guard.LookupUser(as.User); err != nil {
			err = fmt.Errorf("there is no user %q", as.User)
			return fault.WithHint(err, "adduser --system --group %s, or --run-as dynamic", text.Shell(as.User))
		}
	}
	if as.Group != "" {
		if _, err := guard.LookupGroup(as.Group); err != nil {
			return fault.WithHint(fmt.Errorf("there is no group %q", as.Group), "addgroup --system %s", text.Shell(as.Group))
		}
	}
	return nil
}

// checkSocketOwner refuses a user and a group that PID 1 could not look up when it creates the socket.
func checkSocketOwner(s units.SocketAccess) error {
	var errs []error
	if s.User != "" {
		if _, err := guard.LookupUser(s.User); err != nil {
			err = fmt.Errorf("--socket-user: no such user: %q", s.User)
			errs = append(errs, fault.WithHint(err, "adduser --system --group %s", text.Shell(s.User)))
		}
	}
	if s.Group != "" {
		if _, err := guard.LookupGroup(s.Group); err != nil {
			err = fmt.Errorf("--socket-group: no such group: %q", s.Group)
			errs = append(errs, fault.WithHint(err, "addgroup --system %s", text.Shell(s.Group)))
		}
	}
	return errors.Join(errs...)
}

// offerDynamic names the safer user if the owner of the directory is a person, and no path is writable.
func (r *Resolver) offerDynamic(a units.App, owner *user.User) {
	if uid, err := strconv.Atoi(owner.Uid); err != nil || uid < firstLogin || len(a.Writable) > 0 {
		return
	}
	dynamic := guard.Identity{UID: -1}
	if dynamic.BlockedBy(a.Command[0]) == "" && dynamic.BlockedBy(filepath.Join(a.Directory, ".")) == "" {
		r.Note("run-as: %s, the owner of %s; if the program writes nothing there, --run-as dynamic is safer", owner.Username, a.Directory)
	}
}

// firstLogin is the first user id that adduser(8) and useradd(8) give to people.
const firstLogin = 1000

// access checks that the workers' user can reach the program and the directory. A directory that was chosen, and that the
// user cannot enter (/root, as a rule), is replaced by "/".
func (r *Resolver) access(a *units.App, given Given) error {
	who, err := guard.Identify(a.RunAs)
	if err != nil {
		return err
	}
	if block := who.BlockedBy(a.Command[0]); block != "" {
		return fault.WithHint(fmt.Errorf("%s cannot reach the program %s: no permission on %s", who.Name, a.Command[0], block),
			"put it under /opt or /srv, or choose the user: --run-as USER")
	}
	block := who.BlockedBy(filepath.Join("/", a.Directory))
	if block == "" {
		return nil
	}
	if given.Directory || relativeArgument(*a) != "" {
		return fault.WithHint(fmt.Errorf("%s cannot enter the directory %s: no permission on %s", who.Name, a.Directory, block),
			"put the app under /opt or /srv, or choose the user: --run-as USER")
	}
	r.Note("directory: / (%s cannot enter %s)", who.Name, a.Directory)
	a.Directory = "/"
	return nil
}

// relativeArgument returns the first argument that is a file of the app's directory, for which the directory matters.
func relativeArgument(a units.App) string {
	i := slices.IndexFunc(a.Command[1:], func(s string) bool {
		if s == "" || strings.HasPrefix(s, "-") || filepath.IsAbs(s) {
			return false
		}
		_, err := os.Stat(filepath.Join(a.Directory, s))
		return err == nil
	})
	if i < 0 {
		return ""
	}
	return a.Command[1+i]
}
