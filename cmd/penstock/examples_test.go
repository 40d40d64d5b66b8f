package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryExampleIsRightAndPassesItsTests(t *testing.T) {
	files, err := filepath.Glob("../../examples/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		code, _, errOut := command(t, "lint", f)
		require.Equal(t, exitOK, code, errOut)
		code, out, errOut := command(t, "test", f)
		require.Equal(t, exitOK, code, out+errOut)
	}
}
