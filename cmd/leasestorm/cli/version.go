package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print version, commit and Go version",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := bench.ReadBuildInfo()
			if b.Dirty {
				b.Commit += " (modified)"
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "leasestorm %s, commit %s, %s %s/%s\n",
				b.Version, b.Commit, b.Go, runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
