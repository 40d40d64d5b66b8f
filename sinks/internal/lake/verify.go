package lake

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/sinks/internal/prefix"
)

// Verify compares the manifests of a pipeline with each other and with the files: spans must follow each other without
// gap or overlap, and every file must be there with the rows that its manifest says. Deep, the checksum of every page of
// Parquet is compared too; NDJSON is read whole in any case, and compressed, has checksums of its own.
func Verify(ctx context.Context, store Store, l Layout, pipeline string, deep bool) (connectors.VerifyReport, error) {
	plans, err := readManifests(ctx, store, pipeline)
	if err != nil {
		return connectors.VerifyReport{Pipeline: pipeline}, err
	}
	named := map[string]bool{}
	proof := connectors.NewProof(pipeline)
	for _, p := range plans {
		proof.Add(p)
	}
	r := proof.Report()
	for _, p := range plans {
		for _, o := range p.Outputs {
			named[o.Name] = true
			if err := checkOutput(ctx, store, &r, o, deep); err != nil {
				return r, err
			}
		}
	}
	at, err := prefix.Parse(l.Prefix)
	if err != nil {
		return r, err
	}
	err = store.List(ctx, at.Literal(), func(name string) error {
		if ours(name, pipeline) && !named[name] {
			r.Orphans = append(r.Orphans, name)
		}
		return nil
	})
	return r, err
}

// checkOutput counts the rows of a file.
func checkOutput(ctx context.Context, store Store, r *connectors.VerifyReport, o connectors.Output, deep bool) error {
	c, err := store.Open(ctx, o.Name)
	if errors.Is(err, fs.ErrNotExist) {
		r.Problems = append(r.Problems, o.Name+" is missing")
		return nil
	} else if err != nil {
		return fmt.Errorf("open %s: %w", o.Name, err)
	}
	defer c.Close() //nolint:errcheck // it was only read
	r.Outputs++
	r.Bytes += c.Size()
	rows, err := countRows(c, o.Name, deep)
	if err != nil {
		r.Problems = append(r.Problems, fmt.Sprintf("%s is damaged: %v", o.Name, err))
		return nil
	}
	r.Rows += rows
	if rows != o.Rows {
		r.Problems = append(r.Problems, fmt.Sprintf("%s has %d rows, its manifest says %d", o.Name, rows, o.Rows))
	}
	return nil
}

func countRows(c Content, name string, deep bool) (int64, error) {
	if strings.HasSuffix(name, ".parquet") {
		f, err := parquet.OpenFile(c, c.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
		if err != nil {
			return 0, err
		}
		if deep {
			return f.NumRows(), readPages(f)
		}
		return f.NumRows(), nil
	}
	var in io.Reader = io.NewSectionReader(c, 0, c.Size())
	switch {
	case strings.HasSuffix(name, ".gz"):
		zr, err := gzip.NewReader(in)
		if err != nil {
			return 0, err
		}
		in = zr
	case strings.HasSuffix(name, ".zst"):
		zr, err := zstd.NewReader(in)
		if err != nil {
			return 0, err
		}
		defer zr.Close()
		in = zr
	}
	br := bufio.NewReaderSize(in, 1<<18)
	var rows int64
	buf := make([]byte, 1<<16)
	for {
		n, err := br.Read(buf)
		rows += int64(bytes.Count(buf[:n], []byte{'\n'}))
		if errors.Is(err, io.EOF) {
			return rows, nil
		} else if err != nil {
			return rows, err
		}
	}
}

// readPages reads every page of a file, which compares their checksums.
func readPages(f *parquet.File) error {
	for g, group := range f.RowGroups() {
		for n, chunk := range group.ColumnChunks() {
			if err := readChunk(chunk); err != nil {
				return fmt.Errorf("row group %d, column %d: %w", g, n, err)
			}
		}
	}
	return nil
}

func readChunk(chunk parquet.ColumnChunk) (err error) {
	pages := chunk.Pages()
	defer func() { err = errors.Join(err, pages.Close()) }()
	var values int64
	for {
		p, err := pages.ReadPage()
		if errors.Is(err, io.EOF) {
			if values != chunk.NumValues() {
				return fmt.Errorf("%d values where the footer says %d", values, chunk.NumValues())
			}
			return nil
		} else if err != nil {
			return err
		}
		values += p.NumValues()
		parquet.Release(p)
	}
}
