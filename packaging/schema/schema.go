// Package schema holds the JSON Schema of what clusterctl prints with --json.
package schema

import _ "embed"

// Output is clusterctl-output.schema.json: $defs has an entry for each command, by its name.
//
//go:embed clusterctl-output.schema.json
var Output []byte
