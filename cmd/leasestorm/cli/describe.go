package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/study"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

func describeCommand() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "describe NAME",
		Short: "say what a discipline, controller, retry policy or table does, with its parameters, source and border, and draw how it recovers",
		Long: `Prints what a part does, its parameters with units, defaults and bounds, its source, and its border
by the fluid law and in virtual time. Then draws the surge over time: the leases that are lost, and the
queue. A controller is drawn with fifo and the policy retry-after, a retry policy with fifo, and a
wrapper around fifo (edf+fifo).

NAME is one that 'leasestorm list' shows. It may have parameters. If several parts have the name, all
of them are shown; queue/, wrapper/, admit/, retry/ or table/ before the name picks one.

  leasestorm describe deadline
  leasestorm describe codel:target=20ms
  leasestorm describe queue/edf`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(fmt.Errorf("describe takes one name, not %d; 'leasestorm list' shows them", len(args)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := study.Portraits(args[0])
			if errors.Is(err, study.ErrNoPart) || errors.Is(err, catalog.ErrParam) {
				return usage(err)
			}
			for i := 0; i < len(all) && err == nil; i++ {
				err = all[i].Sit(cmd.Context())
			}
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), all, record.JSON)
			}
			for i := range all {
				if i > 0 {
					_, _ = io.WriteString(cmd.OutOrStdout(), "\n") // output remembers its error
				}
				if err := record.Text(all[i].Text())(cmd.OutOrStdout()); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as one JSON object on stdout, and nothing else there")
	return cmd
}
