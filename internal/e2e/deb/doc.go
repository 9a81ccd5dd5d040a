// Package deb contains end-to-end tests of Debian packages: the package of clusterctl, and the packages of apps that
// "clusterctl package" builds. The tests install these packages on new machines of all four releases.
package deb
