package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// top is the repository's root.
const top = "../../.."

// prose is a file of Markdown: the lines of its code blocks, and what is around them.
type prose struct {
	path        string
	code, other []string
}

// allProse reads the README and the docs.
func allProse(t *testing.T) []prose {
	t.Helper()
	docs, err := filepath.Glob(filepath.Join(top, "docs", "*.md"))
	if err != nil || len(docs) == 0 {
		t.Fatalf("no docs: %v", err)
	}
	var all []prose
	for _, path := range append(docs, filepath.Join(top, "README.md"), filepath.Join(top, "CONTRIBUTING.md")) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, readProse(path, string(text)))
	}
	return all
}

func readProse(path, text string) prose {
	p := prose{path: path}
	fenced, free := false, true // free: an indented line is code, and no paragraph's second line
	for _, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "```"):
			fenced = !fenced
		case fenced:
			p.code = append(p.code, line)
		case free && strings.HasPrefix(line, "    "):
			p.code = append(p.code, line[4:])
		default:
			p.other = append(p.other, line)
			free = line == "" || strings.HasPrefix(line, "#")
		}
	}
	return p
}

var (
	comment  = regexp.MustCompile(`(^|\s+)#.*`)
	inCode   = regexp.MustCompile("`[^`]+`")
	flagName = regexp.MustCompile(`(?:^|[\s'])--([a-z][a-z-]*)`)
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"`)
	noSlug   = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// spans are the words in backquotes.
func (p prose) spans() []string {
	all := inCode.FindAllString(strings.Join(p.other, "\n"), -1)
	for i := range all {
		all[i] = strings.ReplaceAll(strings.Trim(all[i], "`"), "\n", " ")
	}
	return all
}

// commands are what a reader pastes: the command lines of the code blocks, without comments, and
// the spans that begin with leasestorm.
func (p prose) commands() []string {
	var all []string
	for line := range strings.Lines(strings.ReplaceAll(strings.Join(p.code, "\n"), "\\\n", "")) {
		line = strings.TrimPrefix(strings.TrimSpace(comment.ReplaceAllString(line, "")), "$ ")
		first, _, _ := strings.Cut(line, " ")
		if isCommand(first) || first == "leasestorm" {
			all = append(all, line)
		}
	}
	for _, s := range p.spans() {
		if _, args, ok := strings.Cut(s, "leasestorm "); ok && verbOf(args) != "" {
			all = append(all, s)
		}
	}
	return all
}

func isCommand(word string) bool {
	return slices.Contains([]string{"bin/leasestorm", "make", "go", "git", "cd", "curl", "sh", "docker"}, word) || strings.HasPrefix(word, "scripts/")
}

// verbOf returns the verb that args begin with, as in "bench speed"; none: "".
func verbOf(args string) string {
	cmd, _, err := newRoot().Find(strings.Fields(args))
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(strings.TrimPrefix(cmd.CommandPath(), "leasestorm"), " ")
}

// clusterFlags are those that prose names of the command of bench/cluster, whose own test looks for them.
var clusterFlags = map[string]bool{"agents": true, "cell-limit": true, "cluster": true, "etcd": true, "give-back": true, "local-agents": true, "metrics": true}

// unknownFlags returns the flags in text that its verb has not; without a verb, that none has.
func unknownFlags(text string) []string {
	_, args, ok := strings.Cut(text, "leasestorm ")
	if !ok {
		args = text
	}
	own := verbOf(args)
	var bad []string
	for _, m := range flagName.FindAllStringSubmatch(text, -1) {
		known := m[1] == "help" || strings.Contains(text, "leasestorm-cluster") || clusterFlags[m[1]] || strings.HasPrefix(m[1], "cluster-")
		var look func(*cobra.Command)
		look = func(cmd *cobra.Command) {
			here := strings.TrimPrefix(strings.TrimPrefix(cmd.CommandPath(), "leasestorm"), " ")
			known = known || (own == "" || own == here) && cmd.Flags().Lookup(m[1]) != nil
			for _, c := range cmd.Commands() {
				look(c)
			}
		}
		if look(newRoot()); !known {
			bad = append(bad, "--"+m[1])
		}
	}
	return bad
}

// brokenLinks returns the links to files and headings that are not there. Those to other
// hosts are not followed.
func (p prose) brokenLinks() []string {
	var bad []string
	for _, m := range link.FindAllStringSubmatch(inCode.ReplaceAllString(strings.Join(p.other, "\n"), ""), -1) {
		to := m[1] + m[2]
		if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
			continue
		}
		path, anchor, _ := strings.Cut(to, "#")
		target := filepath.Join(filepath.Dir(p.path), filepath.FromSlash(path))
		if path == "" {
			target = p.path
		}
		text, err := os.ReadFile(target)
		if info, statErr := os.Stat(target); statErr == nil && info.IsDir() && anchor == "" {
			err = nil
		}
		if err != nil || anchor != "" && !slices.Contains(slugs(string(text)), anchor) {
			bad = append(bad, to)
		}
	}
	return bad
}

// slugs are the anchors of the headings, as forges make them.
func slugs(text string) []string {
	var all []string
	for _, line := range readProse("", text).other {
		if heading := strings.TrimLeft(line, "#"); len(heading) < len(line) {
			all = append(all, strings.ReplaceAll(noSlug.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), ""), " ", "-"))
		}
	}
	return all
}

// What is wrong is found.
func TestProseReader(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.md")
	text := "# A heading: β, twice\n    make build # why\n\ntext `leasestorm sim surge --nosuch` and `--seeds` `--nothing` `x y --json`\n" +
		"    no code, but a paragraph\n\n    $ bin/leasestorm map surge \\\n      --x a\n\n    k = 1\n\n```sh\nscripts/test  # all\n```\n" +
		"[a](#a-heading-β-twice) [b](#b) [c](b.md) [d](a.md#a-heading-β-twice) [e](a.md#x) [f](https://x.org/) ![g](g.png) `[h](h)` [i](.)\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := readProse(path, text)
	if got := strings.Join(p.commands(), "; "); got != "make build; bin/leasestorm map surge   --x a; scripts/test; leasestorm sim surge --nosuch" {
		t.Errorf("commands: %s", got)
	}
	var flags []string
	for _, s := range p.spans() {
		flags = append(flags, unknownFlags(s)...)
	}
	if got := strings.Join(flags, " "); got != "--nosuch --nothing" {
		t.Errorf("unknown flags: %s", got)
	}
	if got := unknownFlags("bin/leasestorm list --seeds 3"); len(got) != 1 {
		t.Errorf("another verb's flag: %v", got)
	}
	if got := strings.Join(p.brokenLinks(), " "); got != "#b b.md a.md#x g.png" {
		t.Errorf("broken links: %s", got)
	}
}
