package main

import (
	"cmp"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/penstock/penstock/core/shardlog/local"
	"github.com/penstock/penstock/pipelines"
	"github.com/penstock/penstock/sinks/s3"
)

// Bounds of what is found of the machine.
const (
	fewFiles    = 1024
	enoughFiles = 4096
	littleSpace = 1 << 30
	noSpace     = 256 << 20

	fastSync   = 15 * time.Microsecond // no disk answers so soon
	slowSync   = 100 * time.Millisecond
	syncs      = 20
	clockOdd   = 5 * time.Second
	clockWrong = 5 * time.Minute // servers refuse what is signed by a clock that is further off
)

// machine looks at the limits of the process.
func (d *doctor) machine() {
	if n, ok := openFiles(); !ok {
		d.fine("open files", "this system does not tell the limit")
	} else if n < enoughFiles {
		state := foundWarning
		if n < fewFiles {
			state = foundProblem
		}
		d.add("open files", state, "raise it: ulimit -n 65536, LimitNOFILE= of systemd, or --ulimit nofile= of a container",
			"the process may have %d files open; a flush with many partitions, segments and connections need more", n)
	} else {
		d.fine("open files", "%d may be open", n)
	}
	have, what, ok := machineMemory()
	size := func(n int64) string { return humanize.IBytes(uint64(max(n, 0))) } //nolint:gosec // not negative
	switch {
	case !ok:
		d.fine("memory", "this system does not tell how much there is")
	case d.memory > have:
		d.bad("memory", "give run and serve a smaller --memory, or the machine more", "--memory is %s, %s is %s: the process is killed when it uses what it was given", size(d.memory), what, size(have))
	case d.memory > have*8/10:
		d.odd("memory", "leave room for the page cache and other programs: at most four fifths", "--memory is %s, %s is %s", size(d.memory), what, size(have))
	default:
		d.fine("memory", "--memory is %s, %s is %s", size(d.memory), what, size(have))
	}
}

// directory looks at the data directory.
func (d *doctor) directory(ctx context.Context) {
	info, err := os.Stat(d.dir)
	if err != nil {
		return // it was said
	}
	if uid, ok := ownerOf(info); ok && uid != os.Getuid() {
		d.odd("owner", "run penstock as the owner, or chown -R the directory", "%s is user %d's, this is user %d", d.dir, uid, os.Getuid())
	} else {
		d.fine("owner", "%s is this user's", d.dir)
	}
	if info.Mode().Perm()&0o077 != 0 {
		d.odd("permissions", "chmod 700 "+d.dir, "others may read %s, which has records and keys (mode %v)", d.dir, info.Mode().Perm())
	} else {
		d.fine("permissions", "%v", info.Mode().Perm())
	}
	d.space()
	d.syncing(ctx)
	d.reserve()
}

// space looks how much is free.
func (d *doctor) space() {
	free, kind, ok := fileSystem(d.dir)
	cure := "make space, or shorten the retention of streams; puts are refused while there is none, and nothing is lost"
	text := humanize.IBytes(uint64(max(free, 0))) //nolint:gosec // not negative
	switch {
	case !ok:
		d.fine("space", "this system does not tell how much is free")
		return
	case free < noSpace:
		d.bad("space", cure, "%s are free", text)
	case free < littleSpace:
		d.odd("space", cure, "%s are free", text)
	default:
		d.fine("space", "%s are free", text)
	}
	switch kind {
	case "tmpfs":
		d.bad("file system", "put the directory on a disk", "it is in memory (tmpfs): everything is gone when the machine starts anew")
	case "overlayfs":
		d.odd("file system", "mount a volume at the data directory", "it is a container's own layer (overlayfs): it goes with the container")
	case "nfs", "smb", "fuse":
		d.odd("file system", "put the directory on a local disk", "it is %s: whether a sync reaches a disk, and a lock other machines, is the server's matter", kind)
	default:
		d.fine("file system", "%s", cmp.Or(kind, "a local one"))
	}
}

// syncing measures how long a sync takes: one that is too short for a disk reaches none.
func (d *doctor) syncing(ctx context.Context) {
	f, err := os.CreateTemp(filepath.Join(d.dir, "scratch"), ".doctor-*")
	if err != nil {
		d.bad("sync", "see the message: penstock writes there too", "%v", err)
		return
	}
	defer os.Remove(f.Name()) //nolint:errcheck // the next start clears the folder
	defer f.Close()           //nolint:errcheck // what was written matters to nobody
	block, took := make([]byte, 4096), make([]time.Duration, 0, syncs)
	for i := 0; i < syncs && ctx.Err() == nil; i++ {
		began := time.Now()
		if _, err = f.WriteAt(block, int64(i*len(block))); err == nil {
			err = f.Sync()
		}
		if err != nil {
			d.bad("sync", "see the message: nothing can be acknowledged there", "%v", err)
			return
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	middle := took[len(took)/2]
	switch {
	case middle < fastSync:
		d.odd("sync", "use a file system and a disk that wait for the medium: no eatmydata, no nobarrier, no unsafe cache of a virtual disk",
			"writing and syncing 4 KiB takes %s, too little for any disk: what is acknowledged may be lost with the power", middle)
	case middle > slowSync:
		d.odd("sync", "use a faster disk: a put waits for one sync at least", "writing and syncing 4 KiB takes %s", middle.Round(time.Millisecond))
	default:
		d.fine("sync", "writing and syncing 4 KiB takes %s", middle.Round(time.Microsecond))
	}
}

// reserve looks whether the space is there that lets checkpoints go on when the disk is full.
func (d *doctor) reserve() {
	have, ok := allocated(filepath.Join(d.dir, "log", local.ReserveName))
	switch {
	case !ok:
		d.fine("reserve", "this system does not tell how much space a file has")
	case have < local.DefaultReserve:
		d.odd("reserve", "make space on the disk: the reserve is filled by itself then", "%s of %s are set aside for checkpoints on a full disk",
			humanize.IBytes(uint64(have)), humanize.IBytes(local.DefaultReserve)) //nolint:gosec // not negative
	default:
		d.fine("reserve", "%s are set aside", humanize.IBytes(uint64(have))) //nolint:gosec // not negative
	}
}

// clocks compares the clock with those of the servers that the pipelines and the state name.
func (d *doctor) clocks(ctx context.Context, specs []*pipelines.Spec) {
	endpoints := map[string]bool{}
	if d.books != nil && d.books.State != nil && d.books.State.Server != nil {
		endpoints[d.books.State.Server.Endpoint] = true
	}
	for _, s := range specs {
		if k := s.Source.Kinesis; k != nil {
			endpoints[cmp.Or(k.Endpoint, "https://kinesis.us-east-1.amazonaws.com")] = true
		}
		if c, ok := s.Sink.Config.(s3.Config); ok {
			endpoints[cmp.Or(c.Endpoint, "https://s3.amazonaws.com")] = true
		}
	}
	delete(endpoints, "")
	for endpoint := range endpoints {
		d.clock(ctx, endpoint)
	}
}

// clock compares the clock with that of a server, which its answers have.
func (d *doctor) clock(ctx context.Context, endpoint string) {
	const check = "clock"
	ctx, stop := context.WithTimeout(ctx, askTime)
	defer stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, endpoint, nil)
	if err != nil {
		return // the pipeline's own check says what is wrong with it
	}
	began := time.Now()
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return // as above
	}
	_ = answer.Body.Close() // it has none
	there, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		d.fine(check, "%s does not tell its time", r.URL.Host)
		return
	}
	// The answer's time is cut to seconds, and is of some moment between the question and the answer.
	off := max(time.Until(there), began.Sub(there.Add(time.Second)), 0)
	cure := "have both clocks kept by NTP (chrony, systemd-timesyncd)"
	switch {
	case off > clockWrong:
		d.bad(check, cure, "it is %s off that of %s: signed requests are refused", off.Round(time.Second), r.URL.Host)
	case off > clockOdd:
		d.odd(check, cure, "it is %s off that of %s: times of records, starts and retention are off too", off.Round(time.Second), r.URL.Host)
	default:
		d.fine(check, "it agrees with that of %s", r.URL.Host)
	}
}
