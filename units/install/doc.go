// Package install writes the files of an app. No other package writes them.
//
// An apply consists of these steps, all of them while the lock of the app is held:
//
//	lock, err := store.Lock(ctx, name, onWait)
//	pending, found, err := store.Pending(name)  // if a command was killed: pending.Rollback or pending.RollForward
//	plan, err := store.Plan(name, set, yaml)    // reads and compares, changes nothing
//	err = store.Conflicts(unitPath, set)        // names that are taken elsewhere
//	tx, err := store.Begin(plan)                // the intent is on disk, no file of the app has changed
//	err = tx.Write()                            // the new files are in place
//	…                                           // daemon-reload, enable, start
//	err = tx.Commit()                           // or tx.Restore, daemon-reload, …, tx.Rollback
//	err = lock.Unlock()
//
// # Invariants
//
//   - A file without our mark, or with the mark of another app, is never changed or removed. A symbolic link in place of a
//     file is never followed.
//   - Between Begin and Commit, the intent on disk contains the old and the new contents of all files. A process may be
//     killed at any instruction. Afterwards, either the intent does not exist and all files are old or all are new, or the
//     intent exists, and from it Rollback restores the old files and RollForward completes the new ones.
//   - All contents are written and synced next to their targets before the first target changes. So a full disk is noticed
//     before anything changes, and a rollback needs no disk space.
//   - A file whose contents do not change is not written, so its modification time stays and systemd need not reload it.
package install
