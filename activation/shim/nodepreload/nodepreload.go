// Package nodepreload carries the script that lets an unmodified Node server end
// its keep-alive connections when it is drained; see the head of the script.
package nodepreload

import _ "embed"

// FileName is the base name that the script must have where it is installed:
// the drain knows a process that has loaded it by the open file of this name.
const FileName = "clusterctl-node-preload.cjs"

//go:embed clusterctl-node-preload.cjs
var script string

// Script returns the preload, to be written to a file called [FileName] and
// named in NODE_OPTIONS="--require …" (Node.js 12 and later).
func Script() []byte { return []byte(script) }
