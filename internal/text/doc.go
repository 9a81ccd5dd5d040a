// Package text formats text for people: tables, sizes, durations, counts, words for a shell, and text from other programs
// that must not reach a terminal unchanged.
package text
