// Package schema holds the contract in files: a JSON Schema (2020-12) of every
// message, acts.json with the words of every code in both languages, and
// asyncapi.json (AsyncAPI 3.0) with topics, directions and examples. All are
// generated from the Go types of package protocol by
//
//	go test ./protocol/schema -update
//
// and a test compares. The schemas are open: a reader tolerates fields and values
// that it does not know, since later devices of the same version may send them.
// Strict gives the closed form, for whoever tests a writer.
package schema

import (
	"embed"
	"encoding/json"
	"fmt"
)

// Files are the committed files, by name: alert.json, asyncapi.json, ...
//
//go:embed *.json
var Files embed.FS

// Strict is the schema of one message ("alert", "status", ...) closed: unknown fields
// are refused, and fields whose values are listed take no other.
func Strict(name string) ([]byte, error) {
	raw, err := Files.ReadFile(name + ".json")
	if err != nil {
		return nil, fmt.Errorf("no schema of %q", name)
	}
	var doc any
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, err
	}
	return json.Marshal(closed(doc))
}

func closed(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if _, isObject := v["properties"].(map[string]any); isObject && v["type"] == "object" {
			v["additionalProperties"] = false
		}
		if known, ok := v["x-known"]; ok {
			if v["type"] == "array" {
				v["items"] = map[string]any{"enum": known}
			} else {
				v["enum"] = known
			}
		}
		for k, child := range v {
			if k != "x-known" && k != "examples" && k != "enum" {
				v[k] = closed(child)
			}
		}
	case []any:
		for i, child := range v {
			v[i] = closed(child)
		}
	}
	return v
}
