// Package templates contains the templates of all generated unit files, with the reason for each directive. The templates
// use only {{.Field}}, {{range}} and {{with}}, which a test checks. Package units sets the fields and escapes their values.
package templates

import "embed"

// FS contains the templates.
//
//go:embed *.tmpl
var FS embed.FS
