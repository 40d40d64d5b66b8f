package logline

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func TestConfigIsTheNameOfAFormat(t *testing.T) {
	for text, want := range map[string]string{
		"combined": "combined", "common": "common", "{format: common}": "common", "{}": "", "": "",
	} {
		var c struct{ Logline Config }
		require.NoError(t, yaml.Unmarshal([]byte("logline: "+text), &c), text)
		require.Equal(t, want, c.Logline.Format)
		require.NoError(t, c.Logline.Validate())
	}
	var c struct{ Logline Config }
	for text, want := range map[string]string{
		"[combined]":     "want combined or common",
		"{fromat: x}":    `unknown "fromat" (have format)`,
		"{format: [a]}":  "want {format: combined}",
		"{format: iis }": "",
	} {
		err := yaml.Unmarshal([]byte("logline: "+text), &c)
		if want == "" {
			require.ErrorContains(t, c.Logline.Validate(), `unknown format "iis" (have combined, common): for another write a regular expression`)
			continue
		}
		require.ErrorContains(t, err, want)
	}
	_, err := New(Config{"w3c"})
	require.ErrorContains(t, err, "unknown format")
}
