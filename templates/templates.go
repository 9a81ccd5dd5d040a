// Package templates holds the text of every unit file that clusterctl generates: each directive that is ever set, with
// its reason beside it. The templates know only {{.Field}}, {{range}} and {{with}}; a test keeps it so. What the fields
// hold, and how it is escaped, is the business of package units.
package templates

import "embed"

// FS holds the templates by their file names.
//
//go:embed *.tmpl
var FS embed.FS
