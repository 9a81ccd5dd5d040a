package install

import "io/fs"

// attrs are what an administrator may have set on a file: a new version of the file gets the same.
type attrs struct {
	mode fs.FileMode
	// owner is nil for a file that is not there yet.
	owner *fileOwner
}

// fileOwner is the owner of a file, and its ACL as the kernel has it (acl(5), system.posix_acl_access).
type fileOwner struct {
	UID int    `json:"uid"`
	GID int    `json:"gid"`
	ACL []byte `json:"acl,omitempty"`
}

// likeNew are the attributes of a file that we create.
func likeNew(mode fs.FileMode) attrs { return attrs{mode: mode} }
