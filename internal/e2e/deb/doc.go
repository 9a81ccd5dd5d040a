// Package deb holds the tests of the packages: that of clusterctl itself, and those that it makes of apps, on fresh
// machines of the four releases.
package deb
