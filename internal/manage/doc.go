// Package manage installs, updates, scales, reloads and removes apps. It writes the files of a [units.App] (units/install)
// and runs the jobs of its units (units/control). After an error, a command rolls the files and the units back.
//
// Each command has one [Manager], and one [Session] for each app:
//
//	s, err := m.Open(ctx, name)  // locks the app, repairs what a killed command left, and loads the app
//	defer s.Close()
//	outcome, err := s.Install(ctx, files, options)
//
// # Invariants
//
//   - A change is all or nothing. After an error the app is as it was before, on disk and in systemd.
//   - A command writes its intent to the disk before the first change, and removes the intent after the last change. If the
//     command is killed, the next [Manager.Open] finds the intent and repairs the app.
//   - New sockets and instances start before old ones stop, so that clients are served during an update. steps.go plans
//     the steps of an update without I/O, and names the updates for which the app must be stopped.
package manage
