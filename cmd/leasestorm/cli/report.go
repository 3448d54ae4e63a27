package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench/export"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/report"
)

// pageOf makes the page of a result folder, and returns the line that names it.
func pageOf(ctx context.Context, dir string) (string, error) {
	path, err := report.Make(ctx, dir)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("page: %s\n", path), nil
}

// besideRuns writes what stands beside the runs in a folder, the formats of other programs and the page,
// and returns the line that names the page. There may be no folder.
func besideRuns(ctx context.Context, dir string) (string, error) {
	if dir == "" {
		return "", nil
	}
	err := export.All(ctx, dir)
	page, pageErr := pageOf(ctx, dir)
	return page, errors.Join(err, pageErr)
}

// ours refuses a folder that has a file with the name of one that besideRuns writes, and has no run of a
// repetition: the file is somebody else's.
func ours(dir string) error {
	if runs, err := fs.Glob(os.DirFS(dir), "s*/manifest.json"); err != nil || len(runs) > 0 {
		return err
	}
	names := []string{report.File}
	for _, f := range export.Formats {
		names = append(names, f.Name)
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s: %w", path, record.ErrExists)
		}
	}
	return nil
}

func reportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "report DIR…",
		Short: "make the page of a result folder again, from its files alone",
		Long: `Makes report.html in each folder: one page that opens offline, with what happened, the curves of all
contestants, tables, the host, and the commands that make the results again. DIR is the folder of a
run, a suite or a study. The page of a damaged folder shows what is whole and names what is missing.
Prints the path of each page.

  leasestorm sim surge --queue deadline --out one
  leasestorm report one`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(errors.New("report takes one folder or more"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var failed error
			for _, dir := range args {
				path, err := report.Make(cmd.Context(), dir)
				if err != nil {
					failed = errors.Join(failed, err)
					continue
				}
				fmt.Fprintln(cmd.OutOrStdout(), path)
			}
			return failed
		},
	}
}
