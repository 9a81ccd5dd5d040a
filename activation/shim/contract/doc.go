// Package contract owns the facts that clusterctl-shim shares with the rest of the product: exit statuses, default times,
// the names of files in /run/clusterctl, the flag --map, the report of a probe, and texts that another program parses.
//
// Units of an earlier release call the shim of this one, and a file in /run may come from an earlier shim. So the meaning of
// a value must not change: a new meaning needs a new name.
//
// The package is pure: it does not read files, the clock or the environment.
package contract
