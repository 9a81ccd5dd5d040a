// Package schema holds the JSON Schema of the output of --json.
package schema

import _ "embed"

// Output is the content of clusterctl-output.schema.json. Its $defs has an entry for each command, under the command's name.
//
//go:embed clusterctl-output.schema.json
var Output []byte
