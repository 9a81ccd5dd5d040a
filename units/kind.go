package units

import (
	"path"
	"strings"
)

// Kind is the purpose of a file of an app.
type Kind int

// The kinds of files. KindUnit is the zero value, for units that have no specific kind, such as the aggregate and
// the slice.
const (
	KindUnit     Kind = iota
	KindSocket        // a socket unit
	KindTemplate      // [Name.Template], the unit of the instances
	KindList          // [Name.DropIn], the instance list
	KindSecrets       // [Name.SecretsDropIn]
	KindJournal       // [Name.JournalConf]
	KindValues        // [Name.ValuesFile]
	KindSource        // NAME.yaml, the description of the app
)

// KindOf returns the kind of a file by its path, absolute or relative.
func KindOf(file string) Kind {
	base := path.Base(file)
	switch {
	case base == path.Base(Name("").DropIn()):
		return KindList
	case base == path.Base(Name("").SecretsDropIn()):
		return KindSecrets
	case strings.HasPrefix(base, "journald@") && path.Ext(base) == ".conf":
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
