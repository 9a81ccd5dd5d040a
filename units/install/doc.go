// Package install is the only one that writes the files of an app.
//
// An apply goes like this, with the lock of the app held from the first line to the last:
//
//	lock, err := store.Lock(ctx, name, onWait)
//	pending, found, err := store.Pending(name)  // a command was killed half-way: pending.Rollback or pending.RollForward
//	plan, err := store.Plan(name, set, yaml)    // reads and compares; prints as a diff
//	err = store.Conflicts(unitPath, set)        // names that are taken elsewhere
//	tx, err := store.Begin(plan)                // the intent is on disk, nothing has changed
//	err = tx.Write()                            // the new files are in place
//	…                                           // daemon-reload, enable, start
//	err = tx.Commit()                           // or tx.Restore, daemon-reload, …, tx.Rollback
//	err = lock.Unlock()
//
// # Invariants
//
//   - A file without our mark, or with the mark of another app, is never changed or removed; a symbolic link at the
//     place of a file is never followed.
//   - Between Begin and Commit the intent says what was there and what shall be there, with all contents. A process that
//     is killed at any instruction leaves either no intent and the old files or the new ones, or an intent from which
//     both Rollback and RollForward lead to exactly one of them.
//   - All contents are written and synced beside their targets before the first target changes, so a full disk is met
//     before anything is changed, and putting back what was there needs no space.
//   - What has equal contents is not written, so it keeps its time and needs no daemon-reload.
package install
