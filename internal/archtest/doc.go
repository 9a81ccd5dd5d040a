// Package archtest holds the tests of what no compiler checks: which package may know which, where a process may end,
// and how large a file and a function may grow. Exceptions stand in tables, each with its reason.
package archtest
