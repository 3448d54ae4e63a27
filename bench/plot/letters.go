package plot

import (
	"strings"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
)

// letters draws text with a "?" for each letter that the font lacks. The library would leave such a
// letter out without notice.
type letters struct{ text.Plain }

func (l letters) known(txt string, fnt font.Font) string {
	face := l.Fonts.Lookup(fnt, fnt.Size)
	return strings.Map(func(r rune) rune {
		if r == '\n' {
			return r
		}
		if i, err := face.Face.GlyphIndex(nil, r); err != nil || i == 0 {
			return '?'
		}
		return r
	}, txt)
}

// Box implements text.Handler.
func (l letters) Box(txt string, fnt font.Font) (width, height, depth vg.Length) {
	return l.Plain.Box(l.known(txt, fnt), fnt)
}

// Draw implements text.Handler.
func (l letters) Draw(c vg.Canvas, txt string, sty text.Style, pt vg.Point) {
	l.Plain.Draw(c, l.known(txt, sty.Font), sty, pt)
}
