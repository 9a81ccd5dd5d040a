// Package outputschema checks what clusterctl prints against packaging/schema, in tests: the binary does not need it.
//
// It is stricter than the schema is for others. A field that the schema does not have is fine for a program that reads a
// later version, but here it means that somebody has forgotten to describe it.
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

// Has says whether the schema has an entry for a command.
func Has(command string) (bool, error) {
	doc, err := document()
	if err != nil {
		return false, err
	}
	defs, _ := doc["$defs"].(map[string]any)
	_, found := defs[command].(map[string]any)
	return found, nil
}

// Check validates output, one JSON document or several behind each other, as that of a command. There must be at least
// one.
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
		return fmt.Errorf("the schema of %s: %w", command, err)
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
		return errors.New("there is no JSON")
	}
	return nil
}

func document() (map[string]any, error) {
	var doc map[string]any
	return doc, decoder(schema.Output).Decode(&doc)
}

// decoder keeps numbers as they are written, which the validator wants.
func decoder(b []byte) *json.Decoder {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return d
}

// forbid lets objects have no fields but those that are described.
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
