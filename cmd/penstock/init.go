package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/pipelines"
)

//go:embed init.yaml.tmpl
var initText string

// initTemplate has its own delimiters, since pipelines use those of Go.
var initTemplate = template.Must(template.New("init").Delims("[[", "]]").Parse(initText))

// schemaFile is where init writes the schema, beside the pipeline.
const schemaFile = "penstock.schema.json"

// initResult is what init wrote.
type initResult struct {
	File   string `json:"file"`
	Schema string `json:"schema"`
}

func (a *app) initFile() *cobra.Command {
	var source, sink string
	cmd := &cobra.Command{
		Use:   "init [FILE]",
		Short: "Write a commented pipeline file to begin with, and its schema for editors",
		Long: `Write a commented pipeline file, which lints clean and has a test that passes, and beside it ` + schemaFile + `, which editors
complete and check with. A file that is there already is left as it is. FILE is pipeline.yaml where it is left out.`,
		Example:           "  penstock init\n  penstock init clicks.yaml --source stream --sink s3",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: yamlFiles,
		RunE: func(_ *cobra.Command, args []string) error {
			file := "pipeline.yaml"
			if len(args) == 1 {
				file = args[0]
			}
			out, err := writeInit(file, source, sink)
			if err != nil {
				return err
			}
			return a.answer(out, func() {
				a.printf("wrote %s, and %s for editors\n\nnext  penstock lint %s\n      penstock test %s\n", out.File, out.Schema, file, file)
			})
		},
	}
	oneOf(cmd, &source, "source", "where records come from", "stream", "file", "generate")
	oneOf(cmd, &sink, "sink", "where rows go", "file", "s3")
	return cmd
}

var notName = regexp.MustCompile(`[^a-z0-9._-]+`)

// writeInit writes the pipeline file and the schema.
func writeInit(file, source, sink string) (out initResult, err error) {
	switch {
	case source != "stream" && source != "file" && source != "generate":
		return out, usage(fmt.Errorf("--source %q is none of stream, file, generate", source))
	case sink != "file" && sink != "s3":
		return out, usage(fmt.Errorf("--sink %q is none of file, s3", sink))
	}
	name := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(file), ".yaml"), ".yml")
	name = strings.Trim(notName.ReplaceAllString(strings.ToLower(name), "-"), "._-")
	if name == "" || len(name) > 90 {
		name = "pipeline"
	}
	var text bytes.Buffer
	if err := initTemplate.Execute(&text, map[string]string{"Name": name, "Source": source, "Sink": sink, "Schema": schemaFile}); err != nil {
		return out, err
	}
	err = writeNew(file, text.Bytes())
	if errors.Is(err, fs.ErrExist) {
		return out, usage(fmt.Errorf("%s is there already: name another file", file))
	} else if err != nil {
		return out, err
	}
	schema, err := writeSchema(filepath.Dir(file))
	return initResult{file, schema}, err
}

// writeNew makes a file; fs.ErrExist where something has its name, and be it a link that leads nowhere yet.
func writeNew(file string, text []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // the user named it, and it holds no secret
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// writeSchema writes the schema into a folder, unless a file of its name is there that is something else.
func writeSchema(dir string) (string, error) {
	name := filepath.Join(dir, schemaFile)
	text, err := registry().JSONSchema()
	if err != nil {
		return "", err
	}
	have, err := os.ReadFile(name) //nolint:gosec // only looked at
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return name, writeNew(name, text)
	case err != nil:
		return "", err
	default:
		var is struct {
			ID string `json:"$id"`
		}
		if json.Unmarshal(have, &is) != nil || is.ID != pipelines.SchemaID {
			return "", fmt.Errorf("%s is there already, and is no schema of pipelines: write it elsewhere with penstock schema -o FILE", name)
		}
	}
	return name, os.WriteFile(name, text, 0o644) //nolint:gosec // for editors, and no secret
}
