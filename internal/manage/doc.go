// Package manage installs, updates, scales, reloads and removes apps. It writes the files of a [units.App] (units/install)
// and runs the jobs of its units (units/control). After an error it rolls both back.
//
// A [Manager] serves one command. A [Session] is the work of this command on one app:
//
//	s, err := m.Open(ctx, name)  // locks the app, repairs what a killed command left, and loads the app
//	defer s.Close()
//	outcome, err := s.Install(ctx, files, options)
//
// # Invariants
//
//   - A change is all or nothing. After an error the app is as it was before, on disk and in systemd.
//   - An intent is on disk from before the first change until after the last one. If the command is killed, the next
//     [Manager.Open] finds the intent and repairs the app.
//   - New sockets and instances start before old ones stop, so that no request is refused where this can be avoided.
//     steps.go plans the steps without I/O.
package manage
