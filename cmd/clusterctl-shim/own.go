package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/clusterctl/clusterctl/activation/shim/socketfile"
)

// ownCommand changes the user and group of Unix sockets. A socket unit uses it in ExecStartPost= if the workers may write to
// the directory of the sockets. If workers may write to the directory, PID 1 must not change the owner, because PID 1 would
// follow a symbolic link of a worker.
func ownCommand(args []string) (int, error) {
	var userName, groupName string
	f := flag.NewFlagSet("own", flag.ContinueOnError)
	f.StringVar(&userName, "user", "", "")
	f.StringVar(&groupName, "group", "", "")
	if err := parse(f, args); err != nil {
		return 0, err
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

// ownerIDs returns the ids of a user and a group. If group is empty, gid is the primary group of the user. An id of -1 means
// that the owner must not change.
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

// lookup finds the entry of a name or id in a file like passwd(5) or group(5), and returns the numbers in the given fields
// of the entry. If an id has no entry, lookup returns the id, and -1 for each further field. lookup does not use package
// os/user, which can call the C library and send requests over the network.
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
				return nil, fmt.Errorf("%s: the entry of %q has no numeric id", file, name)
			}
			ids = append(ids, id)
		}
		return ids, nil
	}
	if id, err := strconv.ParseUint(name, 10, 32); err == nil {
		return append([]int{int(id)}, slices.Repeat([]int{-1}, len(fields)-1)...), nil
	}
	return nil, &failure{code: exitFailed, err: fmt.Errorf("%s has no entry %q, so only root can connect to the socket", file, name),
		hint: "use a local user or group: clusterctl install … --socket-group GROUP"}
}
