// Package config reads and writes an app as YAML: the file that a user keeps beside the program, clusterctl.yaml, and
// the one that clusterctl keeps as the source of an installed app, /etc/clusterctl/NAME.yaml. Both have one syntax.
//
// A file describes one app, or several in a map from name to app:
//
//	name: shop                        apps:
//	command:                            shop:
//	  - /usr/bin/node                     command: [/usr/bin/node, /srv/shop/server.js]
//	  - /srv/shop/server.js               listen: [8080]
//	listen:                             mailer:
//	  - 8080                              command: [/usr/bin/python3, /srv/shop/mail.py]
//
// JSON is a subset of YAML and is read too.
//
// # Invariants
//
//   - Reading is strict: an unknown key, a key given twice, a value of the wrong type and whatever [units.App.Validate]
//     refuses are errors with their line, all of them at once.
//   - A scalar is taken as it is written: 1.10, 010 and yes are strings where a string is due, never numbers that are
//     printed again. An empty value (null) is an error, not a default.
//   - Decode(Encode(a)) is a, for every valid app, and Decode(EncodeNames(a)) is a with hidden
//     variables; both are deterministic and write nothing that is a default.
package config
