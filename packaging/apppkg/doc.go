// Package apppkg plans the Debian package of an app: the paths of its files, the control files and the maintainer scripts.
// It does not read files; package deb reads them and runs dpkg-deb.
//
// # Upgrades
//
// If a new version does not start, the old version must be restored. But dpkg removes the files of the old version before
// it runs the script that starts the new version. So the app does not run from files that dpkg owns:
//
//	/usr/lib/clusterctl-apps/NAME/  files of the package: app/, bin/, units/, instances, clusterctl.yaml
//	/opt/clusterctl-apps/NAME/releases/ID/
//	                                hard links to these files, made by postinst; ID is the version and a hash of the content
//	/opt/clusterctl-apps/NAME/current
//	                                the link to the current release
//	/opt/clusterctl-apps/NAME/serving
//	                                the name of the last release that ran; differs from current only during an upgrade
//	…/systemd/system/NAME.service   the unit of the app, which is enabled, and is the same in every version
//	…/systemd/system/NAME@.service, NAME.socket, …
//	                                links to /opt/clusterctl-apps/NAME/current/units/
//
// dpkg replaces a file by a rename, so a hard link keeps the old content. postinst creates the new release, changes the
// link "current", reloads systemd, and restarts one instance. If this instance stays alive, postinst restarts the other
// instances. If an instance does not start, postinst changes the link back, restarts the instances with the old release,
// and returns an error to dpkg. The package is then unpacked but not configured: the old version runs, also after a boot,
// until "dpkg --configure" or a newer version succeeds. Only NAME.service is not a link, because systemctl would enable
// the target of the link. The settings of NAME.service that can differ between versions are in a drop-in, which is a
// link.
//
// # Files of others
//
// The machine may already have a program with the name of the app, such as docker or redis. So a package uses
// /opt/clusterctl-apps, /var/lib/clusterctl-apps and /etc/clusterctl-apps. postinst puts a mark into the directories that
// it creates. preinst returns an error in these cases: such a directory exists without the mark, the package would hide
// or overwrite a unit or a file, or another package with this name is installed. A purge removes only directories with
// the mark.
//
// The scripts run as root, and the workers can write to directories in /var/lib/clusterctl-apps/NAME. There, the scripts
// do not follow links, and do not change the owner or mode of existing files. If users other than root can change a
// directory, the scripts create files in this directory only as the user of the workers. dpkg follows a link to a
// directory, so the package must not contain files below directories that the workers can write to. So postinst creates
// the links from a release to the state, and preinst removes the links of the old version before dpkg unpacks the new
// version.
//
// Packages of an earlier clusterctl used /opt/NAME, /var/lib/NAME and /etc/NAME. On an upgrade from such a package,
// preinst copies the current release to the new directory, because the units use the new directory as soon as dpkg has
// unpacked the package. The data stays in the old directory, and the new path is a link to the data. A purge keeps this
// data, because the old directory may not be from the package.
//
// The package depends on clusterctl only if the shim must adopt the program.
package apppkg
