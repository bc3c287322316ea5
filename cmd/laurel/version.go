package main

import (
	"context"
	"flag"
	"fmt"
	"runtime"
)

func versionCommand() command {
	return command{
		name:  "version",
		short: "prints the version of this program",
		setup: func(*flag.FlagSet) action {
			return func(_ context.Context, t terminal, _ []string) error {
				fmt.Fprintf(t.Out, "laurel %s (%s %s/%s)\n", buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
				return nil
			}
		},
	}
}
