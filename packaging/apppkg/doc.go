// Package apppkg plans a Debian package of the user's own app: which file goes where, what dpkg is told, and what the
// maintainer scripts do. It is pure; cmd/clusterctl reads the files and runs dpkg-deb.
//
// # The old version stays until the new one runs
//
// dpkg unpacks a new version over the old one, and removes what is no longer in it, before it runs the script that could
// find out that the new one does not start. So nothing runs from what dpkg owns:
//
//	/usr/lib/clusterctl-apps/NAME/  the package's: app/, bin/, units/, instances, clusterctl.yaml
//	/opt/clusterctl-apps/NAME/releases/ID/
//	                                the same files by hard links, made by postinst; ID is the version and a hash of the content
//	/opt/clusterctl-apps/NAME/current
//	                                the link to the release that is in force
//	/opt/clusterctl-apps/NAME/serving
//	                                which release has last been seen to run; it differs only in the midst of an upgrade
//	…/systemd/system/NAME.service, enabled, the same in every version
//	…/systemd/system/NAME@.service, NAME.socket, … links to /opt/clusterctl-apps/NAME/current/units/
//
// dpkg replaces a file by rename, so a hard link keeps the old content. postinst makes the new release, turns the link
// round, reloads systemd, replaces one instance and looks whether it stays alive, then the others. If one does not come
// up, the link is turned back, what was replaced is replaced again, and dpkg is told that it failed: the package is then
// unpacked but not configured, the old version runs, also after a boot, and the next "dpkg --configure" or a newer
// version tries again. Only the aggregate is a file of its own, since a link cannot be enabled (systemctl would enable
// what it points to, past the link); what may differ in it from version to version stands in a drop-in behind a link.
//
// # What is not the package's
//
// The machine may already have a docker or a redis when an app of that name is installed. So a package uses private
// directories, below clusterctl-apps in /opt, /var/lib and /etc. postinst puts a mark into the directories that it makes.
// preinst refuses to install when such a directory exists without the mark, when the package would hide or overwrite a unit
// or a file, or when dpkg has another package of that name. A purge removes only directories with the mark.
//
// The scripts run as root, and the workers can write below /var/lib/clusterctl-apps/NAME. No script follows a link there,
// changes the owner or mode of what exists, or makes anything in a directory that others than root can change: the workers'
// user does that. dpkg must not unpack there, either: it follows a link to a directory. So postinst makes the links from a
// release into the state, and preinst removes the links of the old version before the new version is unpacked.
//
// Packages that an earlier clusterctl made used /opt/NAME, /var/lib/NAME and /etc/NAME. On an upgrade from one, preinst
// copies the release in force, since the units lead to the new place as soon as dpkg has unpacked. The data stays where it
// is, behind a link in the new place. A purge keeps the data: its directory may not be from the package.
//
// Nothing of this needs clusterctl on the machine, unless the shim has to adopt the program; then the package depends on it.
package apppkg
