package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/bench/record"
)

func doctorCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "describe this host, and list every reason why it is a bad place to measure",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			const watched = time.Second
			usage, longest := host.Watch(watched)
			info := host.ReadInfo()
			sizes, err := bench.Sizes()
			if err != nil {
				return err
			}
			d := diagnosis{
				Info: info, Usage: usage, Gap: float64(longest) / 1e6, Placement: host.ReadTopology().Place(0), Sizes: sizes,
				Findings: host.Examine(info, usage, longest, watched),
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), d, record.JSON)
			}
			return d.print(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

type diagnosis struct {
	Info      host.Info      `json:"host"`
	Usage     host.Usage     `json:"usage"` // of one idle second
	Gap       float64        `json:"longest_gap_ms"`
	Placement host.Placement `json:"placement"`
	Sizes     []bench.Size   `json:"sizes"`
	Findings  []host.Finding `json:"findings"`
}

func (d *diagnosis) print(w io.Writer) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-13s %s\n", name, fmt.Sprintf(format, args...))
	}
	i := d.Info
	or := func(s string) string {
		if s == "" {
			return "not told"
		}
		return s
	}
	line("host", "%s, %s/%s, kernel %s", i.Name, i.OS, i.Arch, or(i.Kernel))
	line("cpu", "%s; %d processors allowed of %d, %d physical cores, %d NUMA nodes, SMT %s", or(i.CPU), len(i.CPUs), i.Online, i.Cores, i.NUMANodes, or(i.SMT))
	line("features", "%s", or(strings.Join(i.Features, " ")))
	var caches []string
	for _, c := range i.Caches {
		caches = append(caches, fmt.Sprintf("L%d %s %d KiB (processors %s)", c.Level, strings.ToLower(c.Type), c.Bytes>>10, c.Shared))
	}
	line("caches", "%s; lines of %d bytes", or(strings.Join(caches, ", ")), i.CacheLine)
	line("clock", "source %s, governor %s", or(i.ClockSource), or(i.Governor))
	quota := "none"
	if i.Quota > 0 {
		quota = fmt.Sprintf("%.2f processors", i.Quota)
	}
	limit := "none"
	if i.MemoryMax > 0 {
		limit = fmt.Sprintf("%d MiB", i.MemoryMax>>20)
	}
	line("cgroup", "cpu quota %s, memory limit %s; memory available %d MiB", quota, limit, i.MemoryFree>>20)
	if d.Usage.Throttles > 0 {
		line("throttled", "%d times, %.0f ms, by the quota", d.Usage.Throttles, 1e3*d.Usage.Throttled)
	}
	line("idle second", "%.0f ms stolen, %.0f ms waited for a processor, longest gap %.2f ms", 1e3*d.Usage.Steal, 1e3*d.Usage.Waiting, d.Gap)
	line("placement", "workers on %v, generator on %d %s", d.Placement.Workers, d.Placement.Generator, d.Placement.Note)
	for _, s := range d.Sizes {
		line("bytes", "%.1f %s", s.Bytes, s.What)
	}
	if len(d.Findings) == 0 {
		b.WriteString("\nnothing speaks against measuring here\n")
	} else {
		fmt.Fprintf(&b, "\n%d things speak against measuring here:\n", len(d.Findings))
	}
	for _, f := range d.Findings {
		fmt.Fprintf(&b, "- %s: %s\n  mend: %s\n", f.What, f.Why, f.Mend)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
