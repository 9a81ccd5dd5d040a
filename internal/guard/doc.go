// Package guard finds out who may change what an app obeys (its program, its directory, its environment files, its
// description), refuses what others than root and the caller may change, and names the rights that a change of an app gives.
//
// Guard changes nothing. The caller asks whether more rights are wanted.
package guard
