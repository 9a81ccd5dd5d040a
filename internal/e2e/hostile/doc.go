// Package hostile contains end-to-end tests of the sandbox. They install a hostile worker as each kind of app. This
// worker simulates a worker that an attacker controls: it tries attacks, and each attack must fail. docs/SECURITY.md
// lists the promises on security, and the test of each promise.
package hostile
