// Package apppkg plans the Debian package of an app: the paths of its files, the control files and the maintainer scripts.
// It does not read files; package deb reads them and runs dpkg-deb.
//
// # The old version stays until the new one runs
//
// dpkg unpacks a new version over the old one, and removes files that the new version does not have. Only then does it run
// the script that can find out that the new version does not start. So the app does not run from files that dpkg owns:
//
//	/usr/lib/clusterctl-apps/NAME/  files of the package: app/, bin/, units/, instances, clusterctl.yaml
//	/opt/clusterctl-apps/NAME/releases/ID/
//	                                the same files by hard links, made by postinst; ID is the version and a hash of the content
//	/opt/clusterctl-apps/NAME/current
//	                                the link to the current release
//	/opt/clusterctl-apps/NAME/serving
//	                                the last release that ran; it differs from current only during an upgrade
//	…/systemd/system/NAME.service, enabled, the same in every version
//	…/systemd/system/NAME@.service, NAME.socket, … links to /opt/clusterctl-apps/NAME/current/units/
//
// dpkg replaces a file by rename, so a hard link keeps the old content. postinst creates the new release, changes the link,
// reloads systemd, and replaces one instance. If this instance stays alive, postinst replaces the others. If an instance
// does not start, postinst changes the link back, replaces the new instances with old ones, and returns an error to dpkg.
// The package is then unpacked but not configured. The old version runs, also after a boot, and the next "dpkg --configure"
// or a newer version tries again. Only the aggregate is not a link, because systemctl would enable the target of the link.
// Settings of the aggregate that can differ between versions are in a drop-in, which is a link.
//
// # What does not belong to the package
//
// The machine may already have a docker or a redis when an app with this name is installed. So a package uses private
// directories in clusterctl-apps in /opt, /var/lib and /etc. postinst puts a mark into the directories that it creates.
// preinst returns an error if such a directory exists without the mark, if the package would hide or overwrite a unit or a
// file, or if dpkg has another package with this name. A purge removes only directories with the mark.
//
// The scripts run as root, and the workers can write to /var/lib/clusterctl-apps/NAME. The scripts do not follow links
// there, do not change the owner or mode of existing files, and do not create files in a directory that other users than
// root can change: they do this as the user of the workers. dpkg must not unpack there, because it follows a link to a
// directory. So postinst creates the links from a release to the state, and preinst removes the links of the old version
// before dpkg unpacks the new version.
//
// Packages of an earlier clusterctl used /opt/NAME, /var/lib/NAME and /etc/NAME. On an upgrade from such a package, preinst
// copies the current release, because the units lead to the new directory as soon as dpkg has unpacked. The data stays in
// the old directory, and the new path is a link to it. A purge keeps the data, because the directory may not be from the
// package.
//
// The target needs clusterctl only if the shim must adopt the program. The package then depends on clusterctl.
package apppkg
