// Package hostile contains end-to-end tests of the sandbox. The tests install a hostile worker as each kind of app. The
// hostile worker simulates a worker that an attacker controls: it tries attacks, and each attack must fail.
// docs/SECURITY.md lists what the sandbox guarantees, and the test of each guarantee.
package hostile
