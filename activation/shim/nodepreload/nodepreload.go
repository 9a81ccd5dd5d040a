// Package nodepreload contains the script with which an unmodified Node server ends its keep-alive connections during a
// drain; see the comment at the beginning of the script.
package nodepreload

// FileName is the base name of the script. The drain recognises a process that has loaded the script by an open file with
// this name.
const FileName = "clusterctl-node-preload.cjs"
