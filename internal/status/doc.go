// Package status finds out how apps and their instances are: what systemd, the kernel and the shim know of them. The types
// are what --json prints (schema 1).
//
// [Collector] asks; [Summarise] and [Describe] are pure.
package status
