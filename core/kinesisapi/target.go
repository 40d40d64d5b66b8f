package kinesisapi

import (
	"context"
	"strings"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/core/stream/limit"
)

// target is the stream that a request is about.
type target struct {
	*stream.Stream
	info   stream.Info
	arn    string
	status stream.Status
}

// limited is a shard of the stream as the limits know it.
func (t target) limited(shard string) limit.Shard {
	return limit.Shard{Stream: t.info.ID, ID: core.ShardID(shard)}
}

func (a *API) streamARN(name core.StreamName) string {
	return "arn:aws:kinesis:" + a.cfg.Region + ":" + a.cfg.Account + ":stream/" + string(name)
}

// named is the stream's name that a request gives, by itself, in an ARN, or both.
func (a *API) named(name, arn string) (core.StreamName, error) {
	if arn == "" {
		if name == "" {
			return "", invalid("Either StreamName or StreamARN has to be given.")
		}
		return core.StreamName(name), nil
	}
	of, ok := strings.CutPrefix(arn, a.streamARN(""))
	if !ok {
		parts := strings.SplitN(arn, ":", 6)
		if len(parts) < 6 {
			return "", invalid("%.100s is not the ARN of a stream.", arn)
		}
		return "", a.elsewhere(strings.TrimPrefix(parts[5], "stream/"), parts[3], parts[4])
	}
	if name != "" && name != of {
		return "", invalid("StreamName %s and StreamARN %s are not of one stream.", name, arn)
	}
	return core.StreamName(of), nil
}

// elsewhere says that a stream of another region or account is not here.
func (a *API) elsewhere(name, region, account string) error {
	if region != a.cfg.Region {
		return invalid("The stream's region is %s, this is %s.", region, a.cfg.Region)
	}
	b := API{cfg: Config{Account: account}}
	return b.noStream(core.StreamName(name))
}

// find is the stream that a request names, in whatever state it is.
func (a *API) find(ctx context.Context, name, arn string) (target, error) {
	n, err := a.named(name, arn)
	if err != nil {
		return target{}, err
	}
	s, err := a.streams.Open(ctx, n)
	if err != nil {
		return target{}, a.explain(n, err)
	}
	info, err := s.Info(ctx)
	if err != nil {
		return target{}, a.explain(n, err)
	}
	t := target{Stream: s, info: info, arn: a.streamARN(n), status: info.Status(time.Now())}
	if info.Scale != nil && t.status == stream.Updating { // perhaps left behind by a crash
		a.scaleLater(t)
	}
	return t, nil
}

// live is the stream that a request puts to or reads from. While it is made and once it is being deleted it is not
// there, as AWS has it.
func (a *API) live(ctx context.Context, name, arn string) (target, error) {
	t, err := a.find(ctx, name, arn)
	if err == nil && (t.status == stream.Creating || t.status == stream.Deleting) {
		err = a.noStream(t.info.Name)
	}
	return t, err
}
