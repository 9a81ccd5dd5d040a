// Package trust finds users other than root who may change a file or the way to it.
//
// Root and PID 1 obey files: programs, configurations, environment files. A user who may replace such a file, or a
// directory or symbolic link on the way to it, controls what root does. [Checker.Writers] returns these users as values;
// the caller turns them into an error or a note.
package trust
