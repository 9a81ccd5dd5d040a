// Package polkit holds an example rule that lets people operate apps without root, and the test of the rule.
package polkit
