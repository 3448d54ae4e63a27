package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench/hist"
	"github.com/leasestorm/leasestorm/bench/record"
)

// histFlags are the flags of hist.
type histFlags struct {
	tags                             []string
	from, to, sum, format, out, unit string
	partial, asJSON                  bool
	printed                          time.Duration // of unit; 0: none was given
}

// formatSummary is what hist prints where no format is asked for.
const formatSummary = "summary"

func histCommand() *cobra.Command {
	f := histFlags{}
	cmd := &cobra.Command{
		Use:   "hist FILE...",
		Short: "sum, slice and convert HdrHistogram files of any tool: logs (.hlog), percentiles (.hgrm) and CSV",
		Long: `Reads histograms, selects intervals by tag and time, sums them, and prints quantiles or writes them
in another format. A FILE is a log of HdrHistogram, a percentile distribution or CSV with the columns
value and count, whichever tool has made it; "-" is standard input; a folder of a run stands for its
latency.hlog. The content says which format it is.

Sums are exact: a sum has the coarsest resolution of its parts, in which all their buckets lie. An
interval is selected as a whole, by its start. A percentile distribution has counts at its percentiles
only, so reading one loses what lies between them; a log and CSV lose nothing. A run's log has every
attempt twice, once by each clock: a sum of all its tags counts each twice.

  leasestorm hist DIR --tag 'establish/*/intended' --sum all
  leasestorm hist a.hlog b.hlog --from 10s --to 60s --sum tag --out ab.hlog
  leasestorm hist wrk2.txt --out wrk2.csv`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(errors.New("hist takes one or more files, not 0"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	cmd.Flags().StringArrayVar(&f.tags, "tag", nil, "select intervals of this tag; * stands for any text without a slash, and --tag '' for no tag; may be repeated")
	cmd.Flags().StringVar(&f.from, "from", "", "select intervals that start then or later: a time since the file's start, as in 10s, or of the day, as in 2025-10-20T09:25:10Z")
	cmd.Flags().StringVar(&f.to, "to", "", "select intervals that start earlier")
	cmd.Flags().StringVar(&f.sum, "sum", "", "sum what is selected: tag (one interval a tag) or all (one interval)")
	cmd.Flags().StringVar(&f.format, "format", "", strings.Join(hist.Formats, ", ")+" or "+formatSummary+" (default the end of --out, else "+formatSummary+")")
	cmd.Flags().StringVar(&f.out, "out", "", "file to write, which must not exist (default standard output)")
	cmd.Flags().StringVar(&f.unit, "unit", "", "unit of the values: "+strings.Join(hist.Units(), ", ")+` (default what the file says; else ns, and ms for percentile distributions)`)
	cmd.Flags().BoolVar(&f.partial, "partial", false, "of a log that is cut off or damaged, take the intervals before the damage")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print the quantiles as one JSON object on stdout, and nothing else there")
	return cmd
}

// check settles the format, and says which flag is bad.
func (f *histFlags) check() error {
	known := append(slices.Clone(hist.Formats), formatSummary)
	if f.format == "" {
		f.format = cmp.Or(strings.TrimPrefix(filepath.Ext(f.out), "."), formatSummary)
		if !slices.Contains(known, f.format) || f.out != "" && f.format == formatSummary {
			return usage(fmt.Errorf("--out %s: its end is none of .%s: name another, or give --format", f.out, strings.Join(hist.Formats, ", .")))
		}
	}
	var ok bool
	if f.printed, ok = hist.Unit(f.unit); !ok && f.unit != "" {
		return usage(fmt.Errorf("--unit %q: want one of %s", f.unit, strings.Join(hist.Units(), ", ")))
	}
	for _, t := range f.tags {
		if _, err := path.Match(t, ""); err != nil {
			return usage(fmt.Errorf("--tag %q: %w", t, err))
		}
	}
	for flag, text := range map[string]string{"from": f.from, "to": f.to} {
		if _, err := moment(text, time.Time{}); err != nil {
			return usage(fmt.Errorf("--%s %q: want a time since the file's start, as in 10s, or of the day, as in 2025-10-20T09:25:10Z", flag, text))
		}
	}
	switch {
	case !slices.Contains(known, f.format):
		return usage(fmt.Errorf("--format %q: want one of %s", f.format, strings.Join(known, ", ")))
	case !slices.Contains([]string{"", "tag", "all"}, f.sum):
		return usage(fmt.Errorf("--sum %q: want tag or all", f.sum))
	case f.asJSON && f.format != formatSummary:
		return usage(fmt.Errorf("--json prints quantiles, and --format or --out asks for %s: leave one of them out", f.format))
	}
	return free(f.out)
}

// moment is the time that a text means: none for "".
func moment(text string, begin time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	d, err := time.ParseDuration(text)
	return begin.Add(d), err
}

func (f *histFlags) run(cmd *cobra.Command, files []string) error {
	if err := f.check(); err != nil {
		return err
	}
	var l hist.Log
	for _, name := range files {
		one, err := f.read(cmd.InOrStdin(), name)
		if err == nil {
			err = l.Add(one)
		}
		if errors.Is(err, hist.ErrFormat) && !strings.HasPrefix(err.Error(), name) {
			err = fmt.Errorf("%s: %w", name, err)
		}
		if err != nil {
			return err
		}
	}
	if len(l.Intervals) == 0 {
		return errors.New("no interval is selected: 'leasestorm hist FILE' without --tag, --from and --to shows all tags")
	}
	if f.sum != "" || f.format == formatSummary {
		var err error
		if l.Intervals, err = hist.Sum(l.Intervals, f.sum == "all"); err != nil {
			return err
		}
	}
	if n := len(l.Intervals); f.format == "hgrm" && n > 1 {
		return usage(fmt.Errorf("a percentile distribution is of one histogram, and %d intervals are selected: --sum all, or --sum tag with one --tag, makes one of them", n))
	}
	for _, note := range slices.Compact(slices.Sorted(slices.Values(l.Notes))) {
		fmt.Fprintln(os.Stderr, "note:", note)
	}
	write := map[string]func(io.Writer) error{
		"hlog": l.WriteLog, "csv": l.WriteCSV, "hgrm": func(w io.Writer) error { return writePercentiles(w, &l) },
		formatSummary: func(w io.Writer) error { return f.summary(w, l.Rows()) },
	}[f.format]
	if f.out == "" {
		return write(cmd.OutOrStdout())
	}
	if err := record.WriteFile(f.out, write); err != nil {
		return err
	}
	values := int64(0)
	for i := range l.Intervals {
		values += l.Intervals[i].Count()
	}
	fmt.Fprintf(os.Stderr, "%s: intervals %d, values %d\n", f.out, len(l.Intervals), values)
	return nil
}

// read reads one file and selects its intervals.
func (f *histFlags) read(stdin io.Reader, name string) (*hist.Log, error) {
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		name = filepath.Join(name, "latency.hlog")
	}
	var text []byte
	var err error
	if name == "-" {
		text, err = io.ReadAll(stdin)
	} else {
		text, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, err
	}
	l, err := hist.Read(name, string(text), f.printed)
	switch {
	case err != nil && (l == nil || len(l.Intervals) == 0):
		return nil, err
	case err != nil && !f.partial:
		return nil, fmt.Errorf("%w\nthe %d intervals before it are whole: --partial takes them", err, len(l.Intervals))
	case err != nil:
		fmt.Fprintf(os.Stderr, "warning: %v\nwarning: %s: what follows is missing; the %d intervals before it are taken\n", err, name, len(l.Intervals))
	}
	if !l.Stated {
		l.Notes = append(l.Notes, name+" does not say its unit, and nanoseconds are usual: --unit says another")
	}
	from, _ := moment(f.from, l.Begin()) // both have been checked
	to, _ := moment(f.to, l.Begin())
	begin, over := l.Begin(), 0
	l.Intervals, over, err = hist.Slice(l.Intervals, f.tags, from, to)
	l.Start = begin
	if over > 0 {
		l.Notes = append(l.Notes, fmt.Sprintf("%s: %d of the intervals that start before --to end after it", name, over))
	}
	return l, err
}

func writePercentiles(w io.Writer, l *hist.Log) error {
	h, err := l.Intervals[0].Histogram()
	if err != nil {
		return err
	}
	return hist.WritePercentiles(w, h, l.Unit, l.Intervals[0].Max())
}

// summary prints quantiles.
func (f *histFlags) summary(w io.Writer, rows []hist.Row) error {
	if f.asJSON {
		return printJSON(w, rows, record.JSON)
	}
	return record.Text(hist.Text(rows))(w)
}
