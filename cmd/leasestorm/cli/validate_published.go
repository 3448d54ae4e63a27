package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/published"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/docs"
)

// validatePublished makes the published results again, prints them and writes them to the folder out; "":
// to none.
func validatePublished(cmd *cobra.Command, o published.Options, out string, asJSON bool) error {
	if out != "" {
		if err := mkdir(out); err != nil {
			return err
		}
	}
	points := published.Points()
	bar := newBar(os.Stderr, "runs")
	o.Each = bar.set
	rows, err := published.Run(cmd.Context(), points, o)
	bar.close()
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, published.Count(rows))
	var text strings.Builder
	if asJSON {
		e := json.NewEncoder(&text)
		for i := range rows {
			if err := e.Encode(rows[i]); err != nil {
				return err
			}
		}
	} else {
		text.WriteString(published.Table(rows))
	}
	if _, err := io.WriteString(cmd.OutOrStdout(), text.String()); err != nil {
		return err
	}
	if out != "" {
		files := map[string]func(io.Writer) error{
			"published.txt": record.Text(published.Table(rows)),
			"published.json": record.JSON(struct {
				Schema int             `json:"schema"`
				Rows   []published.Row `json:"rows"`
			}{bench.ManifestSchema, rows}),
		}
		for _, name := range published.Files(points) {
			scenario, err := docs.Published.ReadFile("examples/published/" + name)
			if err != nil {
				return err
			}
			files[name] = record.Text(string(scenario))
		}
		if err := writeAll(out, files); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "written to %s\n", filepath.Clean(out))
	}
	return nil
}
