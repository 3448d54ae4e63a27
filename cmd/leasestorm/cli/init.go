package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/bench/study"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// terminal says whether questions can be asked; a test answers them.
var terminal = func() bool { return term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd())) }

func initCommand() *cobra.Command {
	answers := map[string]*string{}
	cmd := &cobra.Command{
		Use:   "init [FILE.toml]",
		Short: "write a scenario of your own manager, from a few numbers that you know of it",
		Long: `Asks for what you know of your manager, and writes a scenario with comments: what you said, what
follows from it (ρ, β and the border), and the keys that were derived. FILE is my.toml if none is
named. A file that exists is refused.

A number given by a flag is not asked for. Without a terminal nothing is asked, and every flag without
a default is required.

  leasestorm init my.toml --clients 20000 --interval 10s --timeout 5s --service 2ms --workers 16`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage(fmt.Errorf("init takes one file, not %d", len(args)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			file := "my.toml"
			if len(args) == 1 {
				file = args[0]
			}
			if filepath.Ext(file) != ".toml" {
				return usage(fmt.Errorf("%q: the name of a scenario's file ends in .toml", file))
			}
			if err := free(file); err != nil {
				return err
			}
			text, s, err := draft(cmd, file, answers)
			if err != nil {
				return badScenario(err)
			}
			summary, err := s.Summary()
			if err == nil {
				err = record.WriteFile(file, record.Text(text))
			}
			if err != nil {
				return badScenario(err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n\n%s\nto go on:\n  leasestorm sim %s\n  leasestorm rank %[3]s --engine virtual\n  leasestorm border %[3]s\n", summary, text, file)
			return err
		},
	}
	for _, q := range study.Questions {
		answers[q.Key] = cmd.Flags().String(q.Flag, q.Default, q.Text)
	}
	return cmd
}

// draft takes the answers that flags give and asks for the others, until there is such a scenario.
func draft(cmd *cobra.Command, file string, flags map[string]*string) (string, scenario.Scenario, error) {
	given := map[string]string{}
	var missing []string
	var open []study.Question // to ask
	for _, q := range study.Questions {
		given[q.Key] = *flags[q.Key]
		if given[q.Key] == "" {
			missing = append(missing, "--"+q.Flag)
		}
		if !cmd.Flags().Changed(q.Flag) {
			open = append(open, q)
		} else if err := q.Check(given[q.Key]); err != nil {
			return "", scenario.Scenario{}, usage(fmt.Errorf("--%s: %w", q.Flag, err))
		}
	}
	if !terminal() || len(open) == 0 {
		if len(missing) > 0 {
			return "", scenario.Scenario{}, usage(fmt.Errorf("there is no terminal to ask on: give %s", strings.Join(missing, ", ")))
		}
		return study.Draft(file, given)
	}
	in := bufio.NewReader(cmd.InOrStdin())
	for {
		for i, q := range open {
			answer, err := ask(in, os.Stderr, q)
			if err != nil {
				return "", scenario.Scenario{}, err
			}
			given[q.Key], open[i].Default = answer, answer
		}
		text, s, err := study.Draft(file, given)
		if err == nil {
			return text, s, nil
		}
		fmt.Fprintf(os.Stderr, "\n%v\nonce more, with your answers in brackets:\n", err)
	}
}

// ask asks until there is an answer that is possible.
func ask(in *bufio.Reader, out io.Writer, q study.Question) (string, error) {
	for {
		more := ""
		if q.Key == "retry" {
			more = " (" + strings.Join(admit.Retries.Names(), ", ") + ")"
		}
		if q.Default != "" {
			more += " [" + q.Default + "]"
		}
		fmt.Fprintf(out, "%s%s: ", q.Text, more)
		line, err := in.ReadString('\n')
		answer := strings.TrimSpace(line)
		if err != nil && answer == "" {
			fmt.Fprintln(out)
			return "", usage(errors.New("the questions were not answered, and nothing was written"))
		}
		if answer == "" {
			answer = q.Default
		}
		if answer == "" {
			continue
		}
		bad := q.Check(answer)
		if bad == nil {
			return answer, nil
		}
		fmt.Fprintln(out, bad)
	}
}
