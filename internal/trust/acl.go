package trust

import (
	"encoding/binary"
	"fmt"
)

// These constants are the name of the extended attribute with the access ACL of a file, the version of its format, and the
// tags and the write permission of its entries (include/uapi/linux/posix_acl.h, posix_acl_xattr.h).
const (
	aclName     = "system.posix_acl_access"
	aclVersion  = 2
	tagUserObj  = 0x01
	tagUser     = 0x02
	tagGroupObj = 0x04
	tagGroup    = 0x08
	tagMask     = 0x10
	tagOther    = 0x20
	mayWrite    = 2
)

// aclEntry is an entry of an ACL. The field id has a uid or a gid, depending on the tag.
type aclEntry struct {
	tag, perm uint16
	id        uint32
}

// parseACL returns the entries of an ACL. The parameter b is the value of the attribute. It consists of little-endian
// numbers: the version (4 bytes), then for each entry the tag (2 bytes), the permissions (2 bytes) and the id (4 bytes).
func parseACL(b []byte) ([]aclEntry, error) {
	const header, size = 4, 8
	if len(b) < header || (len(b)-header)%size != 0 {
		return nil, fmt.Errorf("invalid ACL of %d bytes", len(b))
	}
	if v := binary.LittleEndian.Uint32(b); v != aclVersion {
		return nil, fmt.Errorf("ACL version is %d, want %d", v, aclVersion)
	}
	var entries []aclEntry
	for b = b[header:]; len(b) > 0; b = b[size:] {
		entries = append(entries, aclEntry{
			tag: binary.LittleEndian.Uint16(b), perm: binary.LittleEndian.Uint16(b[2:]), id: binary.LittleEndian.Uint32(b[4:]),
		})
	}
	return entries, nil
}

// writersOfACL returns the entries that allow writing. For users and groups, the mask limits the permissions.
func writersOfACL(entries []aclEntry) []aclEntry {
	mask := uint16(0o7)
	for _, e := range entries {
		if e.tag == tagMask {
			mask = e.perm
		}
	}
	var list []aclEntry
	for _, e := range entries {
		switch e.tag {
		case tagUser, tagGroup, tagGroupObj:
			e.perm &= mask
		case tagOther:
		default:
			continue
		}
		if e.perm&mayWrite != 0 {
			list = append(list, e)
		}
	}
	return list
}
