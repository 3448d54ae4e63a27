package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench/speed"
)

func generatorCommand() *cobra.Command {
	var (
		o      speed.GeneratorOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "generator",
		Short: "measure the load generator alone: how late it issues attempts",
		Long: `Lets one pinned generator issue the attempts of a fleet on schedule, against a target that
answers at once. Prints the slip, beside the gaps that an idle thread saw in the same time.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Droplets < 1 || int64(o.Droplets) > math.MaxUint32 {
				return usage(fmt.Errorf("--leases %d is out of range: 1 to %d droplets", o.Droplets, uint32(math.MaxUint32)))
			}
			if !(o.Rate > 0) || o.Rate > 1e9 || float64(o.Droplets)/o.Rate < 1e-6 {
				return usage(fmt.Errorf("--rate %g is out of range: above 0, and at most 10^6 a second for each of the %d droplets and 10^9 in all", o.Rate, o.Droplets))
			}
			if o.Length <= 0 || o.Length > time.Hour {
				return usage(fmt.Errorf("--length %v is out of range: above 0, up to 1h", o.Length))
			}
			g, err := speed.Generate(cmd.Context(), o)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), g, oneLine)
			}
			fmt.Fprint(cmd.OutOrStdout(), g)
			return nil
		},
	}
	cmd.Flags().IntVar(&o.Droplets, "leases", 1_000_000, "droplets in the fleet")
	cmd.Flags().Float64Var(&o.Rate, "rate", 5e6, "attempts per second, of all droplets together")
	cmd.Flags().DurationVar(&o.Length, "length", 3*time.Second, "length of the measurement")
	cmd.Flags().Uint64Var(&o.Seed, "seed", 1, "seed of the droplets' phases")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one line of JSON")
	return cmd
}

func oneLine(v any) func(io.Writer) error {
	return func(w io.Writer) error { return json.NewEncoder(w).Encode(v) }
}
