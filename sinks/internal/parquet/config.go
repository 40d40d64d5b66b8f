package parquet

import (
	"fmt"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/compress/gzip"
	"github.com/parquet-go/parquet-go/compress/snappy"

	"github.com/penstock/penstock/core"
)

// Config says how a file is encoded. The zero Config is zstd and row groups of 122,880 rows.
type Config struct {
	Compression  string `yaml:"compression" json:"compression" jsonschema:"enum=zstd,enum=snappy,enum=gzip,enum=none,description=Codec of the pages. Default zstd."`
	RowGroupRows int64  `yaml:"row_group_rows" json:"row_group_rows" jsonschema:"description=Rows of a row group. Default 122880."`
}

const (
	defaultRowGroupRows = 122_880
	maxRowGroupRows     = 10_000_000
	maxRowGroupBytes    = 64 << 20 // of encoded values: what a row group may hold in memory
	pageBytes           = 1 << 20
)

// Validate returns what is wrong with c.
func (c Config) Validate() error {
	if _, err := c.codec(); err != nil {
		return err
	}
	if c.RowGroupRows < 0 || c.RowGroupRows > maxRowGroupRows {
		return fmt.Errorf("row_group_rows %d, want 1 to %d: %w", c.RowGroupRows, maxRowGroupRows, core.ErrInvalid)
	}
	return nil
}

func (c Config) rowGroupRows() int64 {
	if c.RowGroupRows == 0 {
		return defaultRowGroupRows
	}
	return c.RowGroupRows
}

func (c Config) codec() (compress.Codec, error) {
	switch c.Compression {
	case "", "zstd":
		return zstdCodec, nil
	case "snappy":
		return &snappy.Codec{}, nil
	case "gzip":
		return &gzip.Codec{Level: gzip.DefaultCompression}, nil
	case "none":
		return &parquet.Uncompressed, nil
	}
	return nil, fmt.Errorf("parquet compression %q, want zstd, snappy, gzip or none: %w", c.Compression, core.ErrInvalid)
}
