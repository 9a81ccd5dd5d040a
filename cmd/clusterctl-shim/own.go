package main

import (
	"errors"
	"flag"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/clusterctl/clusterctl/activation/shim/socketfile"
)

// ownCommand gives Unix sockets to a user and a group: ExecStartPost= of a socket unit whose files are in a directory of the
// workers, where PID 1 would follow a link.
func ownCommand(args []string) (int, error) {
	var userName, groupName string
	f := flag.NewFlagSet("own", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&userName, "user", "", "")
	f.StringVar(&groupName, "group", "", "")
	if err := f.Parse(args); err != nil {
		return 0, usage(err.Error())
	}
	uid, gid, err := ownerIDs(userName, groupName)
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, path := range f.Args() {
		errs = append(errs, socketfile.Set(path, uid, gid, 0))
	}
	return 0, errors.Join(errs...)
}

// ownerIDs looks the names up. Without a group it is the primary group of the user; -1 leaves what is there.
func ownerIDs(user, group string) (uid, gid int, err error) {
	uid, gid = -1, -1
	if user != "" {
		ids, err := lookup("/etc/passwd", user, 2, 3)
		if err != nil {
			return 0, 0, err
		}
		uid, gid = ids[0], ids[1]
	}
	if group != "" {
		ids, err := lookup("/etc/group", group, 2)
		if err != nil {
			return 0, 0, err
		}
		gid = ids[0]
	}
	return uid, gid, nil
}

// lookup returns numbers of the entry of a name or number in passwd(5) or group(5). A number without an entry is the first of
// them, and the others are -1. Package os/user would bring the C library, which asks the network, too.
func lookup(file, name string, fields ...int) (ids []int, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(data)) {
		entry := strings.Split(strings.TrimSpace(line), ":")
		if len(entry) < 4 || entry[0] != name && entry[2] != name {
			continue
		}
		for _, f := range fields {
			id, err := strconv.Atoi(entry[f])
			if err != nil {
				return nil, errors.New(file + ": the entry of " + strconv.Quote(name) + " has no number")
			}
			ids = append(ids, id)
		}
		return ids, nil
	}
	if id, err := strconv.ParseUint(name, 10, 32); err == nil {
		return append([]int{int(id)}, slices.Repeat([]int{-1}, len(fields)-1)...), nil
	}
	return nil, &failure{code: exitFailed, err: errors.New(file + " has no " + strconv.Quote(name) + "; only root can connect"),
		hint: "give a local user or group: clusterctl install … --socket-group"}
}
