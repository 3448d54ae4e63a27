package scenario

import (
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// Whatever a scenario says of itself, its TOML is read back, also by its manifest.
func TestTOMLRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.Rune()), rapid.StringOf(rapid.RuneFrom([]rune("\a\v\b\t\n\f\r\x00\x1b\x1f\x7f\"'\\ \u0080\u00a0\u2028\ufeff\ufffd\U0010ffff")))).Draw(t, "about")
		text = strings.ReplaceAll(text, "\x00", "") // refused: no command line can hold it
		s := Default()
		s.Name, s.About = "x", text
		got, err := Parse("scenario", []byte(s.TOML()))
		if err != nil || got != s {
			t.Fatalf("%q: %v, %q\n%s", text, err, got.About, s.TOML())
		}
		b := Runbook{Name: text, About: text, Steps: []Step{{At: "8s", Do: "relax"}}}
		book, err := ParseRunbook("runbook", []byte(b.TOML()))
		if err != nil || book.Name != text || book.About != text {
			t.Fatalf("%q: %v, %+v", text, err, book)
		}
	})
	for _, s := range All() { // published manifests are compared to the byte
		for _, line := range strings.Split(strings.TrimSpace(s.TOML()), "\n") {
			if _, v, _ := strings.Cut(line, " = "); v[0] == '"' {
				if text, err := strconv.Unquote(v); err != nil || strconv.Quote(text) != v {
					t.Errorf("%s: not as it always was: %v", line, err)
				}
			}
		}
	}
	if q := quote("a\xffb"); !utf8.ValidString(q) || q != "\"a\ufffdb\"" {
		t.Errorf("not UTF-8: %s", q)
	}
}
