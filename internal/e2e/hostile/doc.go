// Package hostile runs a taken-over worker in every kind of app, on booted
// systemd, and asserts that it gets nothing. docs/SECURITY.md names the promises;
// each row there names the test that holds it.
package hostile
