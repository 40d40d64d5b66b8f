package parquet

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// magic begins and ends a file.
const magic = "PAR1"

// newFooter is the footer of a file of that schema without rows, as parquet-go writes it: so every type is described as
// its readers, and all others, know it.
func newFooter(root parquet.Node) (*format.FileMetaData, error) {
	var empty bytes.Buffer
	w := parquet.NewWriter(&empty, parquet.NewSchema("penstock", root), parquet.CreatedBy("penstock", "1", ""))
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("describe the schema: %w", err)
	}
	f, err := parquet.OpenFile(bytes.NewReader(empty.Bytes()), int64(empty.Len()))
	if err != nil {
		return nil, fmt.Errorf("describe the schema: %w", err)
	}
	footer := *f.Metadata()
	footer.RowGroups, footer.NumRows = nil, 0
	return &footer, nil
}

// columnsOf are the columns that a schema describes.
func columnsOf(elements []format.SchemaElement) []columnSpec {
	var out []columnSpec
	at := 1
	var walk func(children int32, path []string, rep, def uint8)
	walk = func(children int32, path []string, rep, def uint8) {
		for range children {
			e := elements[at]
			at++
			c := columnSpec{path: append(path[:len(path):len(path)], e.Name), typ: e.Type.V, maxRep: rep, maxDef: def}
			switch e.RepetitionType.V {
			case format.Repeated:
				c.maxRep++
				c.maxDef++
			case format.Optional:
				c.maxDef++
			case format.Required:
			}
			if e.NumChildren.V > 0 {
				walk(e.NumChildren.V, c.path, c.maxRep, c.maxDef)
				continue
			}
			out = append(out, c)
		}
	}
	walk(elements[0].NumChildren.V, nil, 0, 0)
	return out
}

// chunk is what the footer says of a column chunk that was written from offset on.
func (c *column) chunk(offset int64, sizes []pageSize) format.ColumnChunk {
	m := format.ColumnMetaData{
		Type: c.typ, PathInSchema: c.path, Codec: c.codec.CompressionCodec(), NumValues: c.values, Statistics: c.bounds.statistics(c.typ, c.lost),
	}
	encodings := map[format.Encoding]int32{}
	for i, p := range c.pages {
		m.TotalUncompressedSize += sizes[i].header + int64(p.header.UncompressedPageSize)
		m.TotalCompressedSize += sizes[i].header + int64(p.header.CompressedPageSize)
		if p.header.Type == format.DictionaryPage {
			m.DictionaryPageOffset = offset
			m.EncodingStats = append(m.EncodingStats, format.PageEncodingStats{PageType: format.DictionaryPage, Encoding: format.Plain, Count: 1})
			continue
		}
		if m.DataPageOffset == 0 {
			m.DataPageOffset = sizes[i].offset
		}
		encodings[p.header.DataPageHeader.V.Encoding]++
	}
	m.Encoding = append(m.Encoding, format.RLE)
	if encodings[format.Plain] > 0 || m.DictionaryPageOffset > 0 {
		m.Encoding = append(m.Encoding, format.Plain)
	}
	if encodings[format.RLEDictionary] > 0 {
		m.Encoding = append(m.Encoding, format.RLEDictionary)
	}
	for _, e := range []format.Encoding{format.Plain, format.RLEDictionary} {
		if n := encodings[e]; n > 0 {
			m.EncodingStats = append(m.EncodingStats, format.PageEncodingStats{PageType: format.DataPage, Encoding: e, Count: n})
		}
	}
	return format.ColumnChunk{FileOffset: offset, MetaData: m}
}

// pageSize is where a page was written, and how long its header is.
type pageSize struct{ offset, header int64 }

// appendFooter appends the footer as a file ends with it.
func appendFooter(dst []byte, footer *format.FileMetaData) ([]byte, error) {
	text, err := thrift.Marshal(new(thrift.CompactProtocol), footer)
	if err != nil {
		return nil, err
	}
	dst = append(dst, text...)
	return append(binary.LittleEndian.AppendUint32(dst, uint32(len(text))), magic...), nil //nolint:gosec // bounded by the row groups of a file
}
