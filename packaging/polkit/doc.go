// Package polkit holds an example rule that lets people operate apps without root, and its test.
package polkit
