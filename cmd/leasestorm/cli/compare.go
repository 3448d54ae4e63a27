package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/archive"
	"github.com/leasestorm/leasestorm/bench/compare"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/report"
)

// sides are the flags of verbs that compare two folders.
type sides struct {
	anyway   bool
	measures []string
	envelope string
}

func (f *sides) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.anyway, "anyway", false, "also compare runs of unlike hosts or scenarios; the output says what is unlike")
	cmd.Flags().StringSliceVar(&f.measures, "measure", nil, "compare by these measures only: "+strings.Join(measureNames(), ", "))
	cmd.Flags().StringVar(&f.envelope, "envelope", "", `folder of 'bench --aa' on this host; "none": no envelope (default the newest beside A, of A's host)`)
}

func measureNames() (names []string) {
	for _, m := range archive.Measures {
		names = append(names, m.Name)
	}
	return names
}

// compare compares two folders, after the envelope.
func (f *sides) compare(ctx context.Context, a, b string) (*compare.Comparison, error) {
	for _, name := range f.measures {
		if !slices.Contains(measureNames(), name) {
			return nil, usage(fmt.Errorf("--measure %q: there are: %s", name, strings.Join(measureNames(), ", ")))
		}
	}
	how := compare.How{Anyway: f.anyway, Measures: f.measures, Find: f.envelope == ""}
	if f.envelope != "" && f.envelope != "none" {
		e, there, err := compare.ReadEnvelope(f.envelope)
		if err == nil && !there {
			err = usage(fmt.Errorf("--envelope %s: the folder has no %s: 'leasestorm bench --aa' makes one", f.envelope, compare.EnvelopeFile))
		}
		if err != nil {
			return nil, err
		}
		how.Envelope = e
	}
	c, err := compare.Folders(ctx, a, b, how)
	switch {
	case errors.Is(err, compare.ErrUnlike):
		err = usage(err)
	case errors.Is(err, compare.ErrInvalid):
		err = &exitError{exitInvalid, err}
	}
	return c, err
}

func compareCommand() *cobra.Command {
	f := sides{}
	asJSON, out := false, ""
	cmd := &cobra.Command{
		Use:   "compare A B",
		Short: "say what differs between two result folders, and whether it is real",
		Long: `Compares the runs in two folders, contestant by contestant: median, extremes, change, and whether the
change is real. A is the base. Each difference is tested over the repetitions by the rank test of
Mann and Whitney. All tests of one comparison are corrected together (Holm). A change inside the A/A
envelope of this host, which 'bench --aa' makes, is never called real. Runs in virtual time with the
same seeds are exact: any difference between them is real.

Make 10 runs or more a side, with --seeds 10. Folders of unlike hosts or scenarios are refused, unless
--anyway is given.

  leasestorm rank surge --contestants fifo,deadline --seeds 10 --engine virtual --out base
  leasestorm rank surge --contestants fifo,deadline --seeds 10 --engine virtual --out change
  leasestorm compare base change --measure ttr,wasted_work

Marks: worse, better: the difference is real; ~: not known to be real; =: no difference.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usage(fmt.Errorf("compare takes two folders, not %d", len(args)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.compare(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			page := ""
			if out != "" && out != "none" {
				if page, err = f.save(c, out); err != nil {
					return err
				}
			}
			if asJSON {
				page = ""
			}
			if err := printComparison(cmd.OutOrStdout(), c, asJSON); err != nil {
				return err
			}
			return record.Text(page)(cmd.OutOrStdout())
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as one JSON object on stdout, and nothing else there")
	cmd.Flags().StringVar(&out, "out", "", `folder to make for the page (report.html) and the result as JSON (default "none": no files)`)
	return cmd
}

// save writes the comparison's folder, and returns the line that names its page.
func (f *sides) save(c *compare.Comparison, out string) (string, error) {
	words := []string{"leasestorm", "compare", c.A, c.B}
	if f.anyway {
		words = append(words, "--anyway")
	}
	if len(f.measures) > 0 {
		words = append(words, "--measure", strings.Join(f.measures, ","))
	}
	words = append(words, "--envelope", cmp.Or(c.Envelope, "none"))
	for i, w := range words {
		words[i] = bench.ShellWord(w)
	}
	folder, err := record.Create(out)
	if err != nil {
		return "", err
	}
	defer folder.Abandon()
	err = folder.WriteJSON(comparisonFile, c)
	if err == nil {
		err = folder.Write(report.File, report.Comparison(c, strings.Join(words, " ")).Write)
	}
	if err == nil {
		err = folder.Commit()
	}
	return fmt.Sprintf("page: %s\n", filepath.Join(folder.Path(), report.File)), err
}

// comparisonFile is a comparison's result in its folder.
const comparisonFile = "comparison.json"

func printComparison(w io.Writer, c *compare.Comparison, asJSON bool) error {
	if asJSON {
		return printJSON(w, c, record.JSON)
	}
	return record.Text(c.Text())(w)
}
