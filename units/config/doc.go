// Package config reads and writes apps as YAML. The file that a user keeps next to the program, clusterctl.yaml, and the
// source of an installed app, /etc/clusterctl/NAME.yaml, have the same syntax.
//
// A file describes one app, or several apps in a map from name to app:
//
//	name: shop                        apps:
//	command:                            shop:
//	  - /usr/bin/node                     command: [/usr/bin/node, /srv/shop/server.js]
//	  - /srv/shop/server.js               listen: [8080]
//	listen:                             mailer:
//	  - 8080                              command: [/usr/bin/python3, /srv/shop/mail.py]
//
// JSON is a subset of YAML, so it is accepted, too.
//
// # Invariants
//
//   - Decode and Parse are strict: unknown keys, duplicate keys, values of the wrong type and everything that
//     [units.App.Validate] refuses are errors. All errors are reported at once, with their lines.
//   - Decode and Parse do not convert the text of a scalar: if a key expects a string, the values 1.10, 010 and yes are
//     strings, not a number or a boolean. An empty value (null) is an error and does not mean the default.
//   - Decode(Encode(a)) returns every valid app a unchanged. Decode(EncodeNames(a)) returns the app a with hidden variables.
//     Encode and EncodeNames are deterministic and omit defaults.
package config
