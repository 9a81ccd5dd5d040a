// Package text formats what people read: tables, sizes, durations, counts, words for a shell, and foreign text that must not
// reach a terminal unchanged. It has one function for each.
package text
