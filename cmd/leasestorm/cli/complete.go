package cli

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/hist"
	"github.com/leasestorm/leasestorm/bench/incident/operator"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/bench/study"
	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

// word is a completion of what is typed.
type word struct {
	text, doc string
	open      bool // more belongs to it: no space comes behind
}

// completer returns all words for what is typed.
type completer func(typed string) []word

// part is an entry of any catalog.
type part struct {
	name, doc string
	params    []catalog.Param
}

func partsOf[F any](c *catalog.Catalog[F]) (all []part) {
	for _, e := range c.List() {
		all = append(all, part{e.Name, e.Doc, e.Params})
	}
	return all
}

// refs completes references to parts: a name, and behind a colon its parameters.
func refs(parts ...part) completer {
	return func(typed string) (words []word) {
		name, args, has := strings.Cut(typed, ":")
		for _, p := range parts {
			switch {
			case !has:
				words = append(words, word{p.name, p.doc, false})
			case p.name == name && !strings.Contains(args[strings.LastIndex(args, ",")+1:], "="):
				head := typed[:len(typed)-len(args)+strings.LastIndex(args, ",")+1]
				for _, d := range p.params {
					words = append(words, word{head + d.Name + "=", d.Doc + " (" + d.Format(d.Default) + ")", true})
				}
			}
		}
		return words
	}
}

// behind completes what stands behind the last sep of what is typed.
func behind(sep string, then completer) completer {
	return func(typed string) []word {
		at := strings.LastIndex(typed, sep) + 1
		words := then(typed[at:])
		for i := range words {
			words[i].text = typed[:at] + words[i].text
		}
		return words
	}
}

// disciplines completes a discipline with its wrappers, as in percore+deadline.
func disciplines(typed string) []word {
	return behind("+", func(typed string) []word {
		words := refs(partsOf(queue.Catalog)...)(typed)
		for _, w := range refs(partsOf(queue.Wrappers)...)(typed) {
			if !w.open {
				w.text, w.open = w.text+"+", true
			}
			words = append(words, w)
		}
		return words
	})(typed)
}

// controllers completes a controller, and behind a plus its estimator, as in limit+drain.
func controllers(typed string) []word {
	if controller, _, has := strings.Cut(typed, "+"); has && admit.Validate(controller) == nil {
		return behind("+", refs(partsOf(admit.Estimators)...))(typed)
	}
	return refs(partsOf(admit.Controllers)...)(typed)
}

// contestants completes a list of queue, queue/admit or queue/admit/retry.
func contestants(typed string) []word {
	return behind(",", func(typed string) []word {
		kinds := []completer{disciplines, controllers, refs(partsOf(admit.Retries)...)}
		if n := strings.Count(typed, "/"); n < len(kinds) {
			return behind("/", kinds[n])(typed)
		}
		return nil
	})(typed)
}

// planNames completes an experiment.
func planNames(string) (words []word) {
	for _, p := range study.Plans() {
		words = append(words, word{p.Name, p.Question, false})
	}
	return words
}

// keyValues are the keys whose values have names.
var keyValues = map[string]completer{
	"table": refs(partsOf(lease.Catalog)...), "queue": disciplines, "admit": controllers, "retry": refs(partsOf(admit.Retries)...),
	"then_queue": disciplines, "then_admit": controllers, "then_retry": refs(partsOf(admit.Retries)...),
	"service_law": texts(scenario.FixedServices, scenario.ExponentialServices, "lognormal:cv=", scenario.MeasuredServices),
	"operator":    texts("none", "throttle", "restart", "both", "switch"), "between": texts("restart", "nothing"), "slow_at": texts(scenario.SlowServices, scenario.SlowArrivals), "launch_law": texts(scenario.PoissonLaunches, scenario.EvenLaunches), "scale": texts("service", "leases", "none"),
}

// assignments completes a key of --set, and behind = its value.
func assignments(typed string) (words []word) {
	key, _, has := strings.Cut(typed, "=")
	if has {
		if values, ok := keyValues[key]; ok {
			words = values(typed[len(key)+1:])
			for i := range words {
				words[i].text = key + "=" + words[i].text
			}
			return words
		}
		return nil
	}
	for _, k := range scenario.Keys() {
		words = append(words, word{k.Name + "=", k.Doc, true})
	}
	return words
}

// scenarios completes built-in scenarios, and files.
func scenarios(typed string) (words []word) {
	for _, s := range scenario.All() {
		words = append(words, word{s.Name, s.About, false})
	}
	return append(words, files(typed)...)
}

// files completes TOML files, and folders on the way to one.
func files(typed string) (words []word) {
	names, _ := filepath.Glob(literal(typed) + "*.toml") // the pattern is sound
	for _, name := range names {
		words = append(words, word{name, "file", false})
	}
	return words
}

// literal is a text as a pattern of [filepath.Match] that matches it alone.
func literal(text string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(text)
}

func texts(all ...string) completer {
	return func(string) (words []word) {
		for _, t := range all {
			words = append(words, word{t, "", strings.HasSuffix(t, "=") || strings.HasSuffix(t, ":")})
		}
		return words
	}
}

// partNames completes the names of describe: those of all parts, and behind a kind its own.
func partNames(typed string) (words []word) {
	kinds := []completer{disciplines, refs(partsOf(queue.Wrappers)...), controllers, refs(partsOf(admit.Estimators)...), keyValues["retry"], keyValues["table"]}
	kind, _, picked := strings.Cut(typed, "/")
	if picked {
		if i := slices.Index(study.PartKinds, kind); i >= 0 {
			return behind("/", kinds[i])(typed)
		}
		return nil
	}
	for i, k := range study.PartKinds {
		words = append(words, kinds[i](typed)...)
		words = append(words, word{k + "/", "", true})
	}
	return words
}

// flagCompleters complete the values of flags, by name; "verb flag" is one verb's own.
func flagCompleters() map[string]completer {
	var runners []string
	for _, r := range bench.Runners {
		runners = append(runners, r.Name())
	}
	var suites []word
	for _, s := range study.Suites() {
		suites = append(suites, word{s.Name, s.About, false})
	}
	all := map[string]completer{
		"set": assignments, "contestants": contestants, "engine": texts(runners...), "idle": texts(engine.Idles...),
		"bench suite":      func(string) []word { return suites },
		"incident runbook": func(typed string) []word { return append(texts(operator.Names()...)(typed), files(typed)...) },
		"hist sum":         texts("tag", "all"), "hist unit": texts(hist.Units()...), "hist format": texts(append(slices.Clone(hist.Formats), formatSummary)...),
		"init retry": keyValues["retry"],
	}
	for _, k := range keyFlags {
		if values, ok := keyValues[k.key]; ok {
			all[k.flag] = values
		}
	}
	return all
}

// completions gives a command and those below it the completions of their flags and arguments.
func completions(root *cobra.Command) {
	flags := flagCompleters()
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		_, args, _ := strings.Cut(cmd.Use, " ")
		switch strings.Trim(args, "[]") {
		case "NAME | FILE.toml] [SCENARIO":
			cmd.ValidArgsFunction = func(c *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
				if len(args) == 0 {
					return shell(func(typed string) []word { return append(planNames(typed), files(typed)...) }, 1)(c, args, typed)
				}
				return shell(scenarios, 1)(c, args[1:], typed)
			}
		case "SCENARIO":
			cmd.ValidArgsFunction = shell(scenarios, 1)
		case "NAME":
			switch cmd.Name() {
			case "runbook":
				cmd.ValidArgsFunction = shell(texts(operator.Names()...), 1)
			case "experiment":
				cmd.ValidArgsFunction = shell(planNames, 1)
			default:
				cmd.ValidArgsFunction = shell(partNames, 1)
			}
		case "DIR":
			cmd.ValidArgsFunction = folders
		case "":
			if !cmd.HasSubCommands() {
				cmd.ValidArgsFunction = cobra.NoFileCompletions
			}
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			c, ok := flags[cmd.Name()+" "+f.Name]
			if !ok {
				c, ok = flags[f.Name]
			}
			var function cobra.CompletionFunc
			switch {
			case ok:
				function = shell(c, -1)
			case f.Name == "resume":
				function = folders
			default:
				return
			}
			if err := cmd.RegisterFlagCompletionFunc(f.Name, function); err != nil {
				panic(err) // the flag is there, and was not registered
			}
		})
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk(root)
}

// folders lets the shell complete names of folders.
func folders(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// shell is a completer for cobra. It completes the first most arguments; -1: a flag's value.
func shell(c completer, most int) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, typed string) (all []cobra.Completion, how cobra.ShellCompDirective) {
		how = cobra.ShellCompDirectiveNoFileComp
		if most >= 0 && len(args) >= most {
			return nil, how
		}
		closed := false
		for _, w := range c(typed) {
			if strings.HasPrefix(w.text, typed) {
				all = append(all, cobra.CompletionWithDesc(w.text, w.doc))
				closed = closed || !w.open
			}
		}
		if !closed {
			how |= cobra.ShellCompDirectiveNoSpace
		}
		return all, how
	}
}
