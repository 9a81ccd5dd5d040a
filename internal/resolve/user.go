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

// chooseUser sets the user of the workers to the owner of the directory, unless the owner is root.
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

// checkAccounts returns an error if the user or the group does not exist. userKey and groupKey are the names of the
// settings, for the error. The parameter alternative is a text that checkAccounts appends to the hint for a missing user.
func checkAccounts(userKey, user, groupKey, group, alternative string) error {
	var errs []error
	if user != "" {
		if _, err := guard.LookupUser(user); err != nil {
			err = fmt.Errorf("%s: there is no user %q", userKey, user)
			errs = append(errs, fault.WithHint(err, "adduser --system --group %s%s", text.Shell(user), alternative))
		}
	}
	if group != "" {
		if _, err := guard.LookupGroup(group); err != nil {
			err = fmt.Errorf("%s: there is no group %q", groupKey, group)
			errs = append(errs, fault.WithHint(err, "addgroup --system %s", text.Shell(group)))
		}
	}
	return errors.Join(errs...)
}

// offerDynamic prints a note about --run-as dynamic if the owner of the directory is a person, and a dynamic user could read
// the app.
func (r *Resolver) offerDynamic(a units.App, owner *user.User) {
	if uid, err := strconv.Atoi(owner.Uid); err != nil || uid < firstLogin || len(a.Writable) > 0 {
		return
	}
	dynamic := guard.Identity{UID: -1}
	if dynamic.BlockedBy(a.Command[0]) == "" && dynamic.BlockedBy(filepath.Join(a.Directory, ".")) == "" {
		r.Note("run-as: %s, the owner of %s; if the program writes nothing there, --run-as dynamic is safer", owner.Username, a.Directory)
	}
}

// firstLogin is the first user ID that adduser(8) and useradd(8) give to people.
const firstLogin = 1000

// The method access returns an error if the user of the workers cannot reach the program or the directory. If the user
// cannot enter the default directory and no argument is a path relative to it, the method sets the directory to "/" instead.
func (r *Resolver) access(a *units.App, given Given) error {
	who, err := guard.Identify(a.RunAs)
	if err != nil {
		return err
	}
	if block := who.BlockedBy(a.Command[0]); block != "" {
		return fault.WithHint(fmt.Errorf("%s cannot reach the program %s: no permission on %s", who.Name, a.Command[0], block),
			"move the program to /opt or /srv, or choose the user: --run-as USER")
	}
	block := who.BlockedBy(filepath.Join("/", a.Directory))
	if block == "" {
		return nil
	}
	if given.Directory || relativeArgument(*a) != "" {
		return fault.WithHint(fmt.Errorf("%s cannot enter the directory %s: no permission on %s", who.Name, a.Directory, block),
			"move the app to /opt or /srv, or choose the user: --run-as USER")
	}
	r.Note("directory: / (%s cannot enter %s)", who.Name, a.Directory)
	a.Directory = "/"
	return nil
}

// relativeArgument returns the first argument that is the relative path of an existing file, or "".
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
