// Package guard checks who may change the files that an app depends on: its program, its directory, its environment files
// and its description. It refuses files that users other than root and the caller may change, and lists the rights that a
// change of an app adds.
//
// Guard changes nothing. The caller of the package asks the user for consent to more rights.
package guard
