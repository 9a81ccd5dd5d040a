// Package contract owns what clusterctl-shim and the rest of the product both know: exit statuses, default times, the
// names of files in /run/clusterctl, the flag --map, the report of a probe, and the texts that somebody reads back.
//
// Units of an earlier release call the shim of this one, and a file in /run may come from an earlier shim. So a value here
// can change its meaning only together with a new name.
//
// The package is pure: it reads no file, no clock and no environment.
package contract
