package main

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestThePageOfPipelineFilesNamesEverySetting holds docs/pipeline-file.md against the schema.
func TestThePageOfPipelineFilesNamesEverySetting(t *testing.T) {
	code, out, errOut := command(t, "schema")
	require.Equal(t, exitOK, code, errOut)
	var schema any
	require.NoError(t, json.Unmarshal([]byte(out), &schema))
	pages := ""
	for _, name := range []string{"pipeline-file.md", "testing-pipelines.md"} {
		text, err := os.ReadFile("../../docs/" + name)
		require.NoError(t, err)
		pages += string(text)
	}
	names := map[string]bool{}
	settings(schema, names)
	require.Greater(t, len(names), 60)
	for name := range names {
		require.Contains(t, pages, name)
	}
}

// settings gathers the names of all properties.
func settings(v any, names map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if properties, ok := value.(map[string]any); ok && key == "properties" {
				for name := range properties {
					names[name] = true
				}
			}
			settings(value, names)
		}
	case []any:
		for _, e := range v {
			settings(e, names)
		}
	}
}
