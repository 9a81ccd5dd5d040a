package trust

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
)

// Accounts has the users and groups of a machine.
type Accounts struct {
	// The map users has the name of each uid, and the map groups has the name of each gid.
	users, groups map[int]string
	// The map members has the uids in the group of each gid. A uid is in a group by its primary group, by /etc/group or by
	// the method With.
	members map[int][]int
	// unknownMembers has the groups in /etc/group with members who are not in /etc/passwd.
	unknownMembers map[int]bool
}

// ReadAccounts reads the files passwd and group in a directory, usually /etc. A missing file has no entries. Groups and
// members from other sources, such as LDAP, are unknown. A group with unknown members may contain any user.
func ReadAccounts(etc string) (Accounts, error) {
	a := Accounts{users: map[int]string{}, groups: map[int]string{}, members: map[int][]int{}, unknownMembers: map[int]bool{}}
	uids := map[string]int{}
	err := records(filepath.Join(etc, "passwd"), 4, func(f []string) {
		uid, uidErr := strconv.Atoi(f[2])
		gid, gidErr := strconv.Atoi(f[3])
		if uidErr != nil || gidErr != nil {
			return
		}
		if a.users[uid] == "" {
			a.users[uid] = f[0]
		}
		uids[f[0]] = uid
		a.members[gid] = append(a.members[gid], uid)
	})
	if err != nil {
		return a, err
	}
	return a, records(filepath.Join(etc, "group"), 4, func(f []string) {
		gid, err := strconv.Atoi(f[2])
		if err != nil {
			return
		}
		if a.groups[gid] == "" {
			a.groups[gid] = f[0]
		}
		for name := range strings.SplitSeq(f[3], ",") {
			if uid, ok := uids[name]; ok {
				a.members[gid] = append(a.members[gid], uid)
			} else if name != "" {
				a.unknownMembers[gid] = true
			}
		}
	})
}

// The function records calls f for each line of a file that has at least the given number of fields.
func records(path string, fields int, f func([]string)) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading accounts: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		if words := strings.Split(strings.TrimRight(line, "\r\n"), ":"); len(words) >= fields {
			f(words)
		}
	}
	return nil
}

// The method With returns a copy of the accounts in which uid is also a member of the groups gids. A service with Group= and
// SupplementaryGroups= is such a member.
func (a Accounts) With(uid int, gids ...int) Accounts {
	members := map[int][]int{}
	for gid, list := range a.members {
		members[gid] = slices.Clip(list)
	}
	for _, gid := range gids {
		members[gid] = append(members[gid], uid)
	}
	a.members = members
	return a
}

// User returns the name of a user, or the uid if there is no name.
func (a Accounts) User(uid int) string { return nameOr(a.users, uid) }

// Group returns the name of a group, or the gid if there is no name.
func (a Accounts) Group(gid int) string { return nameOr(a.groups, gid) }

func nameOr(names map[int]string, id int) string {
	return cmp.Or(names[id], strconv.Itoa(id))
}

// outsiders returns the members of a group who are not in allowed. The result found is true if there are such members or if
// the group may have unknown members, because the group has no entry or because one of its members has no account.
func (a Accounts) outsiders(gid int, allowed []int) (users []int, found bool) {
	for _, uid := range a.members[gid] {
		if !slices.Contains(allowed, uid) && !slices.Contains(users, uid) {
			users = append(users, uid)
		}
	}
	slices.Sort(users)
	return users, len(users) > 0 || a.groups[gid] == "" || a.unknownMembers[gid]
}
