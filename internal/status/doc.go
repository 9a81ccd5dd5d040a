// Package status collects what systemd, the kernel and the shim know about apps and their instances. --json prints its
// types (schema 1).
//
// [Collector] reads the machine. [Summarise] and [Describe] are pure functions.
package status
