// Package install writes the files of an app. No other package writes these files.
//
// The files of an app are its units, its source NAME.yaml, the values of its variables NAME.env, and the configuration of
// its private journal. A change of these files is called an apply. Each unit names its app in the key X-Clusterctl-App, the
// mark of the app. The command holds the lock of the app during the whole apply:
//
//	lock, err := store.Lock(ctx, name, onWait)
//	pending, found, err := store.Pending(name)  // if a command was killed: pending.Rollback or pending.RollForward
//	plan, err := store.Plan(name, set, yaml)    // compare the new files with the files on disk
//	err = store.Conflicts(unitPath, set)        // unit names that other files have
//	tx, err := store.Begin(plan)                // write the intent to disk; the files of the app have not changed
//	err = tx.Write()                            // put the new files in place
//	…                                           // daemon-reload, enable, start
//	err = tx.Commit()                           // or tx.Restore, daemon-reload, …, tx.Rollback
//	err = lock.Unlock()
//
// # Invariants
//
// A file without the mark of the app is never changed or removed. A symbolic link in place of a file is never followed.
//
// Between Begin and Commit, the intent on disk contains the old and the new contents of all files. The process may be killed
// at any instruction. If no intent exists after a kill, all files are old, or all files are new. If an intent exists,
// Rollback restores the old files, and RollForward writes the new files.
//
// All new contents are written and synced next to the files that they replace, before the first file changes. A full disk is
// therefore an error before any file changes, and a rollback needs no disk space.
//
// A file whose contents do not change is not written. The modification time of the file stays, so systemd need not reload.
package install
