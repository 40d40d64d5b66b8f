// Command penstock is the one binary: the stream, the pipelines over it, and the tools to look at both.
package main

import (
	"context"
	"os"
)

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
