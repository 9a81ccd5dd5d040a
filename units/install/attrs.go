package install

import "io/fs"

// attrs are file attributes that an administrator may have changed. A new version of the file gets the same attributes.
type attrs struct {
	mode fs.FileMode
	// owner is nil for a file that does not exist yet.
	owner *fileOwner
}

// fileOwner is the owner of a file and its ACL in the kernel's format (acl(5), system.posix_acl_access).
type fileOwner struct {
	UID int    `json:"uid"`
	GID int    `json:"gid"`
	ACL []byte `json:"acl,omitempty"`
}

// likeNew returns the attributes of a file that we create.
func likeNew(mode fs.FileMode) attrs { return attrs{mode: mode} }
