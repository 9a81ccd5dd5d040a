// Package polkit contains an example rule that allows users to operate apps without root, and the test of
// the rule.
package polkit
