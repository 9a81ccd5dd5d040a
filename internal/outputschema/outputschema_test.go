package outputschema

import (
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestSchema checks that the file is a valid JSON Schema, and that the entry of each command is valid.
func TestSchema(t *testing.T) {
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	if err := jsonschema.NewCompiler().AddResource(address, doc); err != nil {
		t.Fatal(err)
	}
	meta, err := jsonschema.NewCompiler().Compile("https://json-schema.org/draft/2020-12/schema")
	if err != nil {
		t.Fatal(err)
	}
	if err := meta.Validate(doc); err != nil {
		t.Error(err)
	}
	for name := range doc["$defs"].(map[string]any) {
		if err := Check(name, nil); err == nil || err.Error() != "the output contains no JSON" {
			t.Errorf("%s: Check returned %v for no output", name, err)
		}
	}
	if has, err := Has("ls"); err != nil || !has {
		t.Errorf("Has(ls) returned %v, %v", has, err)
	}
	if has, err := Has("frobnicate"); err != nil || has {
		t.Errorf("Has(frobnicate) returned %v, %v", has, err)
	}
}

func TestCheck(t *testing.T) {
	const good = `{"schema":1,"apps":[]}`
	for output, want := range map[string]string{
		good: "", good + "\n" + good: "",
		"": "the output contains no JSON", "{": "unexpected EOF", "[]": "got array", `{"apps":[]}`: "missing property 'schema'",
		`{"schema":2,"apps":[]}`:                             "value must be 1",
		`{"schema":1,"apps":[],"new":1}`:                     "additional properties 'new'",
		good + `{"schema":1,"apps":null}`:                    "got null",
		`{"schema":1,"apps":[{"name":"a","state":"happy"}]}`: "missing properties",
		`{"schema":1,"apps":[{"name":"a","state":"running",` +
			`"ready":1.5,"wanted":1,"listen":[],"restarts":0,"instances":[]}]}`: "got number, want integer",
		`{"schema":1,"apps":[{"name":"a","state":"running",` +
			`"ready":1,"wanted":1,"listen":[],"restarts":0,"instances":[],"since":"now"}]}`: "not valid date-time",
		`{"schema":1,"apps":[{"name":"a","state":"running",` +
			`"ready":1,"wanted":1,"listen":[],"restarts":0,"instances":[],"queue":{"depth":1,"limit":-1}}]}`: "minimum",
	} {
		err := Check("ls", []byte(output))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", output, err, want)
		}
	}
}
