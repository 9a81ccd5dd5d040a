package units

import (
	"path"
	"strings"
)

// Kind is what a file of an app is for.
type Kind int

// The kinds; the zero value is a unit without a kind here, such as the aggregate and the slice.
const (
	KindUnit Kind = iota
	// KindSocket is a socket unit.
	KindSocket
	// KindTemplate is the unit of the instances, [Name.Template].
	KindTemplate
	// KindList is the instance list, [Name.DropIn].
	KindList
	// KindSecrets is [Name.SecretsDropIn].
	KindSecrets
	// KindJournal is [Name.JournalConf].
	KindJournal
	// KindValues is [Name.ValuesFile].
	KindValues
	// KindSource is the description of the app, NAME.yaml.
	KindSource
)

// KindOf returns the kind of a file by its path, absolute or relative.
func KindOf(file string) Kind {
	base := path.Base(file)
	switch {
	case base == path.Base(Name("").DropIn()):
		return KindList
	case base == path.Base(Name("").SecretsDropIn()):
		return KindSecrets
	case strings.HasPrefix(base, "journald@"):
		return KindJournal
	case strings.HasSuffix(base, Name("").Template()):
		return KindTemplate
	}
	switch path.Ext(base) {
	case ".socket":
		return KindSocket
	case ".env":
		return KindValues
	case ".yaml":
		return KindSource
	}
	return KindUnit
}
