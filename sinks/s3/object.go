package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/minio/minio-go/v7"

	"github.com/penstock/penstock/connectors"
)

// Sizes of a multipart upload. S3 wants parts of 5 MiB or more, and at most 10,000 of them.
const (
	partBytes  = 8 << 20
	firstBytes = 64 << 10 // of a new buffer: most partitions are small
	abortTime  = requestTime / 4
)

// object is an object being uploaded. Write never fails: what cannot be sent stays in memory and is sent by Commit.
type object struct {
	b      *bucket
	name   string
	opts   minio.PutObjectOptions
	ctx    context.Context //nolint:containedctx // of the uploads that Write begins
	cancel context.CancelFunc
	buf    []byte // not yet a part

	begin   sync.Mutex // one NewMultipartUpload at a time
	id      string     // of the multipart upload; guarded by begin
	running sync.WaitGroup

	mu    sync.Mutex // guards what follows, and the parts
	parts []*part
	held  int64
	done  bool
}

// part is a part that was sent, or failed and still has its bytes.
type part struct {
	number int
	data   []byte
	etag   string
}

// Write takes p, and begins to upload the part that it fills.
func (o *object) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if o.buf == nil {
			o.buf = make([]byte, 0, max(firstBytes, min(len(p), partBytes)))
		}
		take := min(len(p), partBytes-len(o.buf))
		o.buf = append(o.buf, p[:take]...)
		p = p[take:]
		if len(o.buf) == partBytes {
			o.launch(o.cutPart())
		}
	}
	return n, nil
}

// cutPart makes the buffer a part.
func (o *object) cutPart() *part {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := &part{number: len(o.parts) + 1, data: o.buf}
	o.parts = append(o.parts, p)
	o.held += int64(len(p.data))
	o.buf = nil
	return p
}

// launch uploads a part beside the caller, once there is a slot. Requests end in bounded time, so the wait does.
func (o *object) launch(p *part) {
	o.b.slots <- struct{}{}
	o.running.Go(func() {
		defer func() { <-o.b.slots }()
		_ = o.send(o.ctx, p) // Commit sends it again
	})
}

// send uploads a part, if it was not uploaded yet.
func (o *object) send(ctx context.Context, p *part) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	id, err := o.upload(ctx)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(p.data)
	sent, err := o.b.client.PutObjectPart(ctx, o.b.name, o.name, id, p.number, bytes.NewReader(p.data), int64(len(p.data)),
		minio.PutObjectPartOptions{Sha256Hex: hex.EncodeToString(sum[:])})
	if err != nil {
		return explain(fmt.Sprintf("upload part %d of %s", p.number, o.name), o.b.name, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held -= int64(len(p.data))
	p.etag, p.data = sent.ETag, nil
	return nil
}

// upload is the id of the multipart upload, which is begun by the first part.
func (o *object) upload(ctx context.Context) (string, error) {
	o.begin.Lock()
	defer o.begin.Unlock()
	if o.id == "" {
		id, err := o.b.client.NewMultipartUpload(ctx, o.b.name, o.name, o.opts)
		if err != nil {
			return "", explain("begin upload of "+o.name, o.b.name, err)
		}
		o.id = id
	}
	return o.id, nil
}

// Commit makes the object visible.
func (o *object) Commit(ctx context.Context) error {
	if o.done {
		return nil
	}
	var err error
	if len(o.parts) == 0 {
		err = o.put(ctx)
	} else {
		err = o.complete(ctx)
	}
	if o.done = err == nil; o.done {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.buf = nil
	}
	return err
}

// put uploads an object of less than a part.
func (o *object) put(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	sum := sha256.Sum256(o.buf)
	_, err := o.b.client.PutObject(ctx, o.b.name, o.name, bytes.NewReader(o.buf), int64(len(o.buf)), "", hex.EncodeToString(sum[:]), o.opts)
	return explain("put "+o.name, o.b.name, err)
}

// complete sends what is left and completes the multipart upload.
func (o *object) complete(ctx context.Context) error {
	if len(o.buf) > 0 {
		o.cutPart()
	}
	if err := o.sendAll(ctx); err != nil && gone(err) {
		return o.completed(ctx, err)
	} else if err != nil {
		return err
	}
	list := make([]minio.CompletePart, len(o.parts))
	for i, p := range o.parts {
		list[i] = minio.CompletePart{PartNumber: p.number, ETag: p.etag}
	}
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	_, err := o.b.client.CompleteMultipartUpload(ctx, o.b.name, o.name, o.id, list, o.opts)
	if err != nil && gone(err) {
		// The answer to an earlier try may have been lost.
		return o.completed(ctx, err)
	}
	return explain("complete upload of "+o.name, o.b.name, err)
}

// sendAll waits for the parts on their way and sends those that failed.
func (o *object) sendAll(ctx context.Context) error {
	stop := context.AfterFunc(ctx, o.cancel)
	o.running.Wait()
	stop()
	var mu sync.Mutex
	var errs []error
	var sending sync.WaitGroup
	for _, p := range o.parts {
		if p.etag != "" {
			continue
		}
		select {
		case o.b.slots <- struct{}{}:
		case <-ctx.Done():
			sending.Wait()
			return ctx.Err()
		}
		sending.Go(func() {
			defer func() { <-o.b.slots }()
			if err := o.send(ctx, p); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	sending.Wait()
	if len(errs) > 0 {
		return errs[0]
	}
	return nil
}

// completed is nil if the object is there as this plan's. Otherwise the upload is gone:
// its parts are sent again when the plan is staged anew.
func (o *object) completed(ctx context.Context, cause error) error {
	info, err := o.b.client.StatObject(ctx, o.b.name, o.name, minio.StatObjectOptions{})
	if err == nil {
		same := true
		for k, v := range o.opts.UserMetadata {
			same = same && metadata(info.UserMetadata, k) == v
		}
		if same {
			return nil
		}
	}
	return connectors.Restage(fmt.Errorf("complete upload of %s in bucket %s: %w", o.name, o.b.name, errors.Join(cause, err)))
}

// metadata is a value of an object's metadata, whose keys come back in the server's spelling.
func metadata(have map[string]string, key string) string {
	for k, v := range have {
		if strings.EqualFold(k, key) {
			return v
		}
	}
	return ""
}

// Held is how many bytes of the object are in memory.
func (o *object) Held() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.held + int64(cap(o.buf))
}

// Abort gives the upload up. What a server does not hear of is swept a day later.
func (o *object) Abort() error {
	o.cancel()
	o.running.Wait()
	o.mu.Lock()
	o.buf, o.held = nil, 0
	done := o.done
	o.done = true
	o.mu.Unlock()
	if done || o.id == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(o.ctx), abortTime)
	defer cancel()
	_ = o.b.client.AbortMultipartUpload(ctx, o.b.name, o.name, o.id) // best effort, see above
	return nil
}
