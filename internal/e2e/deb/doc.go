// Package deb tests the package of clusterctl, and the packages that clusterctl makes of apps, on new machines of all four
// releases.
package deb
