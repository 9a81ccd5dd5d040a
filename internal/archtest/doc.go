// Package archtest checks rules that no compiler checks: which package may import which, where a process may end, and
// how long files and functions may be. Exceptions are in tables, each with its reason.
package archtest
