// Package hostile runs a worker that an attacker has taken over in every kind of app, on a booted systemd, and tests that it
// gains nothing. docs/SECURITY.md lists the promises, and names the test for each of them.
package hostile
