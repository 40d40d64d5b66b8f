// The command fetches the servers of the integration tests, or runs one until it is interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/penstock/penstock/integration/servers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "servers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	switch {
	case len(args) == 1 && args[0] == "fetch":
		return servers.Fetch(ctx)
	case len(args) == 2 && (args[0] == "postgres" || args[0] == "pgbouncer"):
		p, err := servers.StartPostgres(ctx, args[1])
		if err != nil {
			return err
		}
		defer p.Kill()
		at := p.URL
		if args[0] == "pgbouncer" {
			b, err := servers.StartPgbouncer(ctx, args[1], p)
			if err != nil {
				return err
			}
			defer b.Kill()
			at = b.URL
		}
		_, _ = fmt.Fprintf(out, "export DATABASE_URL='%s'\n", at)
		<-ctx.Done()
		return nil
	case len(args) == 3 && slices.Contains(servers.S3Names(), args[0]):
		s, err := servers.StartS3(ctx, args[0], args[1])
		if err != nil {
			return err
		}
		defer s.Kill()
		if err := s.Bucket(ctx, args[2]); err != nil {
			return err
		}
		_, _ = fmt.Fprintf(out, "export S3_ENDPOINT=%s S3_ACCESS_KEY=%s S3_SECRET_KEY=%s S3_BUCKET=%s\n", s.Endpoint, s.AccessKey, s.SecretKey, args[2])
		<-ctx.Done()
		return nil
	}
	return errors.New("usage: fetch, postgres|pgbouncer FOLDER, or minio|versitygw FOLDER BUCKET")
}
