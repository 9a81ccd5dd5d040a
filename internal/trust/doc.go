// Package trust decides who else may change what a path leads to.
//
// Root and PID 1 obey files: programs, configurations, environment files. A user who may replace such a file, or one of the
// directories and symbolic links on the way to it, decides what root does. [Checker.Writers] returns these users as values;
// the caller makes an error of them, or a note.
package trust
