// Package polkit contains an example of a polkit rule that allows users to operate apps without root, and
// the test of the rule.
package polkit
