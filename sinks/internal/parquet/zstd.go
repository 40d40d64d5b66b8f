package parquet

import (
	"sync"

	kzstd "github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// zstdPages is parquet-go's codec with encoders that look back over one page: its own take 8 MiB each. They are pooled.
type zstdPages struct {
	zstd.Codec
	encoders sync.Pool // of *kzstd.Encoder
}

var zstdCodec = &zstdPages{encoders: sync.Pool{New: func() any {
	e, err := kzstd.NewWriter(nil, kzstd.WithEncoderConcurrency(1), kzstd.WithEncoderLevel(kzstd.SpeedFastest), kzstd.WithZeroFrames(true),
		kzstd.WithEncoderCRC(false), kzstd.WithWindowSize(pageBytes), kzstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err) // the options are right
	}
	return e
}}}

// Encode compresses a page.
func (c *zstdPages) Encode(dst, src []byte) ([]byte, error) {
	e := c.encoders.Get().(*kzstd.Encoder)
	defer c.encoders.Put(e)
	return e.EncodeAll(src, dst[:0]), nil
}
