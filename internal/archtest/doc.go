// Package archtest checks rules for the source code that the compiler does not check, for example which packages may import
// each other, and how long files and functions may be. Exceptions are in tables, each with the reason.
package archtest
