package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/penstock/penstock/sinks/internal/lake"
)

// uploadsInFlight bounds how many parts a sink uploads at once.
const uploadsInFlight = 4

// bucket is a lake.Store.
type bucket struct {
	client *minio.Core
	name   string
	slots  chan struct{} // of uploads in flight
}

func newBucket(client *minio.Core, name string) *bucket {
	return &bucket{client, name, make(chan struct{}, uploadsInFlight)}
}

// Create begins an object.
func (b *bucket) Create(ctx context.Context, name string, by lake.Origin) (lake.Object, error) {
	ctx, cancel := context.WithCancel(ctx)
	return &object{
		b: b, name: name, ctx: ctx, cancel: cancel,
		opts: minio.PutObjectOptions{ContentType: contentType(name), UserMetadata: map[string]string{
			"penstock-pipeline": by.Pipeline, "penstock-incarnation": by.Incarnation, "penstock-plan": fmt.Sprint(by.Plan),
		}},
	}, nil
}

func contentType(name string) string {
	switch {
	case strings.HasSuffix(name, ".parquet"):
		return "application/vnd.apache.parquet"
	case strings.HasSuffix(name, ".json"):
		return "application/json"
	case strings.HasSuffix(name, ".ndjson"):
		return "application/x-ndjson"
	case strings.HasSuffix(name, ".gz"):
		return "application/gzip"
	case strings.HasSuffix(name, ".zst"):
		return "application/zstd"
	}
	return "application/octet-stream"
}

// Open reads an object.
func (b *bucket) Open(ctx context.Context, name string) (lake.Content, error) {
	info, err := b.client.StatObject(ctx, b.name, name, minio.StatObjectOptions{})
	if err != nil {
		return nil, explain("open "+name, b.name, err)
	}
	return &content{b: b, ctx: ctx, name: name, etag: info.ETag, size: info.Size}, nil
}

// List calls f with each object whose name begins with prefix.
func (b *bucket) List(ctx context.Context, prefix string, f func(string) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for o := range b.client.ListObjectsIter(ctx, b.name, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			return explain("list "+prefix, b.name, o.Err)
		}
		if err := f(o.Key); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Sweep gives up uploads of the pipeline that were begun before a time and never completed: their plan was never made.
// MinIO lists none without their names, and gives them up after a day by itself.
func (b *bucket) Sweep(ctx context.Context, ours func(name string) bool, before time.Time) error {
	var key, id string
	for {
		page, err := b.client.ListMultipartUploads(ctx, b.name, "", key, id, "", 1000)
		if err != nil {
			return explain("list uploads", b.name, err)
		}
		for _, u := range page.Uploads {
			if !ours(u.Key) || !u.Initiated.Before(before) {
				continue
			}
			if err := b.client.AbortMultipartUpload(ctx, b.name, u.Key, u.UploadID); err != nil && !gone(err) {
				return explain("give up upload of "+u.Key, b.name, err)
			}
		}
		if !page.IsTruncated || page.NextKeyMarker == key && page.NextUploadIDMarker == id {
			return nil
		}
		key, id = page.NextKeyMarker, page.NextUploadIDMarker
	}
}

// gone reports whether an upload was given up, or completed.
func gone(err error) bool {
	var answer minio.ErrorResponse
	return errors.As(err, &answer) && answer.Code == "NoSuchUpload"
}

// content is an object being read, through a window that spares requests: a Parquet footer is read in small steps.
type content struct {
	b          *bucket
	ctx        context.Context //nolint:containedctx // io.ReaderAt has none
	name, etag string
	size       int64

	mu     sync.Mutex // guards window
	window []byte
	at     int64
}

// windowBytes is how much is read at once.
const windowBytes = 256 << 10

// ReadAt reads from the window, and moves it where it does not hold what is asked for.
func (c *content) ReadAt(p []byte, off int64) (int, error) {
	if off >= c.size {
		return 0, io.EOF
	}
	want := min(int64(len(p)), c.size-off)
	c.mu.Lock()
	defer c.mu.Unlock()
	if off < c.at || off+want > c.at+int64(len(c.window)) {
		// A footer is read from its end: the window then reaches back from it.
		from := max(0, min(off, c.size-windowBytes))
		if err := c.fetch(from, max(want+off-from, min(windowBytes, c.size-from))); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.window[off-c.at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (c *content) fetch(from, n int64) error {
	opts := minio.GetObjectOptions{}
	if err := errors.Join(opts.SetRange(from, from+n-1), opts.SetMatchETag(c.etag)); err != nil {
		return err
	}
	body, _, _, err := c.b.client.GetObject(c.ctx, c.b.name, c.name, opts)
	if err != nil {
		return explain("read "+c.name, c.b.name, err)
	}
	var buf bytes.Buffer
	_, err = io.Copy(&buf, io.LimitReader(body, n+1))
	if err = errors.Join(err, body.Close()); err != nil {
		return explain("read "+c.name, c.b.name, err)
	}
	if int64(buf.Len()) != n {
		return fmt.Errorf("read %s in bucket %s: %d bytes came of %d: %w", c.name, c.b.name, buf.Len(), n, io.ErrUnexpectedEOF)
	}
	c.window, c.at = buf.Bytes(), from
	return nil
}

// Size is the object's length in bytes.
func (c *content) Size() int64 { return c.size }

// Close does nothing: no connection is held.
func (c *content) Close() error { return nil }
