// Package deb tests the package of clusterctl, and the packages that clusterctl makes of apps, on new machines of the four
// releases.
package deb
