// Package nodepreload contains the script with which an unmodified Node server ends its keep-alive connections during a
// drain; see the comment at the beginning of the script.
package nodepreload

import _ "embed"

// FileName is the base name of the installed script. The drain recognises a process that has loaded the script by an open
// file with this name.
const FileName = "clusterctl-node-preload.cjs"

//go:embed clusterctl-node-preload.cjs
var script string

// Script returns the script. It must be in a file with the name [FileName], whose path is in NODE_OPTIONS="--require …"
// (Node.js 12 and later).
func Script() []byte { return []byte(script) }
