// Package schema contains the JSON Schema of the output of --json.
package schema

import _ "embed"

// Output is the content of clusterctl-output.schema.json. In $defs, the schema has an entry for each command, under the name
// of the command.
//
//go:embed clusterctl-output.schema.json
var Output []byte
