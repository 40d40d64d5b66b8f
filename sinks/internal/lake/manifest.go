package lake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/penstock/penstock/connectors"
)

// manifests is where manifests are kept.
const manifests = "_penstock/"

func manifestName(p connectors.Plan) string {
	return fmt.Sprintf("%s%s-%s/%012d.json", manifests, p.Pipeline, p.Incarnation, p.Number)
}

// writeManifest makes a plan's manifest visible: its outputs are part of the lake then.
func writeManifest(ctx context.Context, store Store, p connectors.Plan) error {
	name := manifestName(p)
	text, err := json.MarshalIndent(p, "", " ")
	if err != nil {
		return err
	}
	obj, err := store.Create(ctx, name, Origin{p.Pipeline, p.Incarnation, p.Number})
	if err != nil {
		return fmt.Errorf("write manifest %s: %w", name, err)
	}
	if _, err := obj.Write(text); err != nil {
		return errors.Join(fmt.Errorf("write manifest %s: %w", name, err), obj.Abort())
	}
	if err := obj.Commit(ctx); err != nil {
		return errors.Join(fmt.Errorf("write manifest %s: %w", name, err), obj.Abort())
	}
	return nil
}

// Published reports whether the manifest of a plan is there, which is written when all its outputs are.
func Published(ctx context.Context, store Store, p connectors.Plan) (bool, error) {
	c, err := store.Open(ctx, manifestName(p))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("look for manifest %s: %w", manifestName(p), err)
	}
	return true, c.Close()
}

var manifestForm = regexp.MustCompile(`^_penstock/(.+)-([0-9a-f]{16})/[0-9]{12}\.json$`)

// Incarnations are those of the pipeline that left manifests.
func Incarnations(ctx context.Context, store Store, pipeline string) ([]string, error) {
	var out []string
	err := store.List(ctx, manifests+pipeline+"-", func(name string) error {
		if m := manifestForm.FindStringSubmatch(name); m != nil && m[1] == pipeline && !slices.Contains(out, m[2]) {
			out = append(out, m[2])
		}
		return nil
	})
	slices.Sort(out)
	return out, err
}

// readManifests reads the manifests of the pipeline, in order of incarnation and plan.
func readManifests(ctx context.Context, store Store, pipeline string) ([]connectors.Plan, error) {
	var found []string
	err := store.List(ctx, manifests+pipeline+"-", func(name string) error {
		if m := manifestForm.FindStringSubmatch(name); m != nil && m[1] == pipeline {
			found = append(found, name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(found)
	out := make([]connectors.Plan, len(found))
	for i, name := range found {
		c, err := store.Open(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("read manifest %s: %w", name, err)
		}
		text, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
		if err = errors.Join(err, c.Close()); err != nil {
			return nil, fmt.Errorf("read manifest %s: %w", name, err)
		}
		if err := json.Unmarshal(text, &out[i]); err != nil {
			return nil, fmt.Errorf("read manifest %s: %w", name, err)
		}
	}
	return out, nil
}

// ours reports whether a name is that of an output of the pipeline.
func ours(name, pipeline string) bool {
	base := name[strings.LastIndexByte(name, '/')+1:]
	rest, ok := strings.CutPrefix(base, pipeline+"-")
	return ok && outputForm.MatchString(rest)
}

var outputForm = regexp.MustCompile(`^[0-9a-f]{16}-[0-9]{12}-[0-9]+\.`)

// Repeats says what becomes of rows that another incarnation writes again.
const Repeats = "the files that are there stay, and files of the new incarnation come beside them: rows that are read again are there twice. " +
	"The names of files have the incarnation they are of: remove those of the old one, and its folder below _penstock/, if the new one is to replace it"
