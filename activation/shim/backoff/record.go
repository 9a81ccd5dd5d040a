package backoff

import (
	"errors"
	"runtime"

	"golang.org/x/sys/unix"
)

// Begin is called by the launcher: it plans the start and keeps the state. The
// caller waits for the delay and then calls Started.
func Begin(dir string, p Policy) (State, Decision, error) {
	now, err := Now()
	if err != nil {
		return State{}, Decision{}, err
	}
	var s State
	var d Decision
	err = asOwner(dir, func() error {
		s, d = Plan(Load(dir), p, now)
		return save(dir, s)
	})
	return s, d, err
}

// Started notes that the run begins now, after the wait.
func Started(dir string, s State) error {
	now, err := Now()
	if err != nil {
		return err
	}
	s.Started = now
	return Save(dir, s)
}

// Stopping is called by ExecStop=: asked when $MAINPID names a living process.
func Stopping(dir string, asked bool) error {
	return asOwner(dir, func() error {
		s := Load(dir)
		s.Stop = Alone
		if asked {
			s.Stop = Asked
		}
		return save(dir, s)
	})
}

// Record is called by ExecStopPost=: it judges the run that has ended.
func Record(dir string, p Policy, e Exit) error {
	now, err := Now()
	if err != nil {
		return err
	}
	return asOwner(dir, func() error { return save(dir, Ended(Load(dir), p, e, now)) })
}

// Save replaces the state in dir. There is no fsync: /run is memory.
func Save(dir string, s State) error {
	return asOwner(dir, func() error { return save(dir, s) })
}

// asOwner runs f with the file system rights of the directory's owner. All but the
// launcher run as root in a directory of the app's user, who could put a link in
// the way.
func asOwner(dir string, f func() error) error {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return errors.New("looking at " + dir + ": " + err.Error())
	}
	if unix.Geteuid() != 0 || st.Uid == 0 {
		return f()
	}
	runtime.LockOSThread() // not unlocked when it cannot be undone: the thread ends then
	if err := unix.Setfsgid(int(st.Gid)); err != nil {
		return errors.New("taking the rights of the owner of " + dir + ": " + err.Error())
	}
	if err := unix.Setfsuid(int(st.Uid)); err != nil {
		return errors.New("taking the rights of the owner of " + dir + ": " + err.Error())
	}
	err := f()
	if unix.Setfsuid(0) == nil && unix.Setfsgid(0) == nil {
		runtime.UnlockOSThread()
	}
	return err
}
