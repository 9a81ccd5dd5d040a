// Package manage installs, updates, scales, reloads and removes apps: it carries a [units.App] through files (units/install)
// to jobs (units/control), and takes everything back after an error.
//
// A [Manager] is for one command, a [Session] for one app in it:
//
//	s, err := m.Open(ctx, name)  // the lock, the repair of what a killed command left, the app as it is installed
//	defer s.Close()
//	outcome, err := s.Install(ctx, files, options)
//
// # Invariants
//
//   - A change is all or nothing. After an error the app is as it was before, on disk and in systemd.
//   - An intent is on disk before the first change and until the last one. The next [Manager.Open] repairs what a killed
//     command left.
//   - New sockets and instances start before old ones stop, so no request is refused where that can be avoided. The steps are
//     planned in steps.go, without I/O.
package manage
