// Package outputschema checks the JSON output of clusterctl against packaging/schema. Only tests use this package.
//
// The check is stricter than the schema. The schema allows unknown fields, because a later version of clusterctl may add
// fields. In our tests, an unknown field is an error, because its description is missing in the schema.
package outputschema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/clusterctl/clusterctl/packaging/schema"
)

const address = "clusterctl-output.schema.json"

// Has reports whether the schema describes the output of a command.
func Has(command string) (bool, error) {
	doc, err := document()
	if err != nil {
		return false, err
	}
	defs, _ := doc["$defs"].(map[string]any)
	_, found := defs[command].(map[string]any)
	return found, nil
}

// Check validates the output of a command, which must be one or more JSON documents.
func Check(command string, output []byte) error {
	doc, err := document()
	if err != nil {
		return err
	}
	forbid(doc["$defs"])
	delete(doc, "$id")
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(address, doc); err != nil {
		return err
	}
	s, err := c.Compile(address + "#/$defs/" + command)
	if err != nil {
		return fmt.Errorf("compiling the schema of %s: %w", command, err)
	}
	count := 0
	for d := decoder(output); ; count++ {
		var v any
		if err := d.Decode(&v); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		if err := s.Validate(v); err != nil {
			return err
		}
	}
	if count == 0 {
		return errors.New("the output contains no JSON")
	}
	return nil
}

func document() (map[string]any, error) {
	var doc map[string]any
	return doc, decoder(schema.Output).Decode(&doc)
}

// The function decoder returns a decoder that returns numbers as [json.Number], which the validator requires.
func decoder(b []byte) *json.Decoder {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return d
}

// The function forbid sets additionalProperties to false for all objects, so that fields without a description are errors.
func forbid(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, below := range v {
			forbid(below)
		}
		if _, ok := v["properties"].(map[string]any); ok && v["type"] == "object" {
			v["additionalProperties"] = false
		}
	case []any:
		for _, below := range v {
			forbid(below)
		}
	}
}
