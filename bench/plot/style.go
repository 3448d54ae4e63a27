package plot

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/font/liberation"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/leasestorm/leasestorm/bench/archive"
	"github.com/leasestorm/leasestorm/bench/internal/files"
	"github.com/leasestorm/leasestorm/bench/internal/show"
)

// The style of all figures: a sans-serif face, the colours of Okabe and Ito (2008), which
// colour-blind readers can tell apart, and dashes for print in black and white. Lengths without a
// unit are in points.
const (
	width     vg.Length = 7 * vg.Inch
	margin    vg.Length = 6
	labelSize vg.Length = 8
	tickSize  vg.Length = 7
	lineWidth vg.Length = 1.3
)

var (
	colours = []color.Color{
		color.RGBA{0xd5, 0x5e, 0x00, 0xff}, color.RGBA{0x00, 0x72, 0xb2, 0xff}, color.RGBA{0x00, 0x9e, 0x73, 0xff},
		color.RGBA{0xcc, 0x79, 0xa7, 0xff}, color.RGBA{0xe6, 0x9f, 0x00, 0xff}, color.RGBA{0x56, 0xb4, 0xe9, 0xff}, color.Black,
	}
	dashes = [][]vg.Length{
		nil, {6, 2}, {2, 1.5}, {6, 2, 1.5, 2}, {10, 3}, {4, 1.5, 1.5, 1.5, 1.5, 1.5}, {1, 1},
	}
	grey    = color.Gray{0x60}
	shade   = color.NRGBA{0, 0, 0, 0x18}
	gridRGB = color.Gray{0xdd}
)

var handler = letters{text.Plain{Fonts: font.NewCache(liberation.Collection())}}

func style(size font.Length) text.Style {
	return text.Style{
		Color: color.Black, Handler: handler,
		Font: font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, size),
	}
}

// thinStyle is the style of the thin line beside the i-th line.
func thinStyle(i int) draw.LineStyle {
	return draw.LineStyle{Color: colours[i%len(colours)], Width: 0.5}
}

// lineStyle is the style of the i-th line. Each of 49 lines has its own pair of colour and dashes.
func lineStyle(i int) draw.LineStyle {
	return draw.LineStyle{Color: colours[i%len(colours)], Width: lineWidth, Dashes: dashes[(i+i/len(colours))%len(dashes)]}
}

// New makes a plot in the style of all figures, with the labels of its axes.
func New(x, y string) *plot.Plot {
	p := plot.New()
	p.TextHandler = handler
	p.X.Label.Text, p.Y.Label.Text = x, y
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle.Font = style(labelSize).Font
		a.Label.TextStyle.Handler = p.TextHandler
		a.Tick.Label.Font = style(tickSize).Font
		a.Tick.Label.Handler = p.TextHandler
		a.Tick.Marker = ticks{}
		a.LineStyle.Width = 0.5
		a.Tick.LineStyle.Width = 0.5
		a.Padding = 2
	}
	g := plotter.NewGrid()
	g.Horizontal.Color, g.Vertical.Color = gridRGB, gridRGB
	g.Horizontal.Width, g.Vertical.Width = 0.4, 0.4
	p.Add(g)
	return p
}

// ticks are at multiples of 1, 2 or 5 times a power of ten. Their labels have no trailing zeros.
type ticks struct{}

func (ticks) Ticks(low, high float64) []plot.Tick {
	if !(high > low) {
		return []plot.Tick{{Value: low, Label: short(low)}}
	}
	const most = 6
	step := math.Pow(10, math.Floor(math.Log10((high-low)/most)))
	for _, k := range []float64{1, 2, 5, 10} {
		if (high-low)/(k*step) <= most*(1+1e-9) { // a span computed in another order is an ulp longer
			step *= k
			break
		}
	}
	var all []plot.Tick
	for k := math.Ceil(low/step - 1e-9); k*step <= high+1e-9*step; k++ {
		all = append(all, plot.Tick{Value: k * step, Label: short(k * step)})
	}
	return all
}

// Decades are the ticks of a logarithmic axis: powers of ten with a label, and ticks without a
// label in between. An axis with less than two powers has labels at two and five times a power as
// well. A still shorter axis has the labels of a linear axis.
type Decades struct{}

// Ticks implements plot.Ticker.
// Ticks implements plot.Ticker.
func (Decades) Ticks(low, high float64) []plot.Tick {
	if !(low > 0 && high > low) || math.IsInf(high, 1) {
		return []plot.Tick{{Value: low, Label: short(low)}}
	}
	const ulps = 1e-9
	labelled := func(all []plot.Tick, ks ...float64) (n int) {
		for i, t := range all {
			k := math.Round(t.Value / math.Pow(10, math.Floor(math.Log10(t.Value)+ulps)))
			if slices.Contains(ks, k) && t.Value >= low*(1-ulps) && t.Value <= high*(1+ulps) {
				all[i].Label = short(t.Value)
				n++
			}
		}
		return n
	}
	var all []plot.Tick
	for e := math.Floor(math.Log10(low)); e <= math.Ceil(math.Log10(high)); e++ {
		for k := 1.0; k < 10; k++ {
			all = append(all, plot.Tick{Value: k * math.Pow(10, e)})
		}
	}
	if labelled(all, 1) < 2 && labelled(all, 1, 2, 5) < 2 {
		return ticks{}.Ticks(low, high)
	}
	return all
}

// short is a number of an axis: five digits, thousands in groups. From 10⁷ on it is a power of ten,
// which is no longer than its neighbours.
func short(x float64) string {
	if math.Abs(x) < 1e-12 {
		return "0"
	}
	text := strconv.FormatFloat(x, 'g', 5, 64)
	switch size := math.Abs(x); {
	case size >= 1e7 && !math.IsInf(x, 0):
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(x, 'e', -1, 64), "e+")
		exponent = strings.TrimLeft(exponent, "0")
		if strings.Contains(exponent, "9") { // the face has no raised nine
			return strings.Replace(mantissa, "-", "−", 1) + "e" + exponent
		}
		text = exponent
		for i, raised := range []rune("⁰¹²³⁴⁵⁶⁷⁸") {
			text = strings.ReplaceAll(text, strconv.Itoa(i), string(raised))
		}
		if text = mantissa + "·10" + text; strings.HasPrefix(text, "1·") || strings.HasPrefix(text, "-1·") {
			text = strings.Replace(text, "1·", "", 1)
		}
	case size >= 1e3 && x == math.Trunc(x):
		text = show.Group(x)
	}
	return strings.Replace(text, "-", "−", 1)
}

// grouped writes the counts of a title with their thousands in groups. Older files have titles
// without.
func grouped(title string) string {
	return longCount.ReplaceAllStringFunc(title, func(digits string) string {
		n, err := strconv.Atoi(digits)
		if err != nil {
			return digits
		}
		return show.Count(n)
	})
}

var longCount = regexp.MustCompile(`\b[0-9]{5,}\b`)

// addLine adds a line and its band. A line without points is left out.
func addLine(p *plot.Plot, l archive.Line, s draw.LineStyle) error {
	if len(l.X) == 0 {
		return nil
	}
	if l.Low != nil {
		outline := make(plotter.XYs, 0, 2*len(l.X))
		for i, x := range l.X {
			outline = append(outline, plotter.XY{X: x, Y: l.Low[i]})
		}
		for i := len(l.X) - 1; i >= 0; i-- {
			outline = append(outline, plotter.XY{X: l.X[i], Y: l.High[i]})
		}
		band, err := plotter.NewPolygon(outline)
		if err != nil {
			return err
		}
		r, g, b, _ := s.Color.RGBA()
		band.Color = color.NRGBA{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8), 0x30}
		band.LineStyle.Width = 0
		p.Add(band)
	}
	xys := make(plotter.XYs, len(l.X))
	for i := range xys {
		xys[i].X, xys[i].Y = l.X[i], l.Y[i]
	}
	line, err := plotter.NewLine(xys)
	if err != nil {
		return err
	}
	line.LineStyle = s
	p.Add(line)
	return nil
}

// mark is an entry of a legend that is not a line of data.
type mark struct {
	text string
	line draw.LineStyle // Width 0: a shaded box
	note bool           // text alone, without a sample
	dot  draw.GlyphDrawer
}

// legend draws title, names and marks in rows above the plots, where they cover nothing. It returns
// the rest of the canvas.
func legend(c draw.Canvas, title string, names []string, marks ...mark) draw.Canvas {
	const sample, gap, pad = vg.Length(24), vg.Length(4), 14
	s := style(labelSize)
	s.YAlign = draw.YCenter
	height := 1.5 * labelSize
	y := c.Max.Y - height/2
	for _, row := range titleRows(title, func(row string) bool { return c.Min.X+s.Width(row) <= c.Max.X }) {
		c.FillText(s, vg.Point{X: c.Min.X, Y: y}, row)
		y -= height
	}
	x := c.Min.X
	entry := func(text string, sample vg.Length, paint func()) {
		gap := min(sample, gap)
		w := sample + gap + s.Width(text) + pad
		if x+w-pad > c.Max.X && x > c.Min.X {
			x, y = c.Min.X, y-height
		}
		paint()
		c.FillText(s, vg.Point{X: x + sample + gap, Y: y}, text)
		x += w
	}
	for i, name := range names {
		entry(name, sample, func() { c.StrokeLine2(lineStyle(i), x, y, x+sample, y) })
	}
	for _, m := range marks {
		if m.note {
			entry(m.text, 0, func() {})
			continue
		}
		entry(m.text, sample, func() {
			if m.line.Width > 0 {
				c.StrokeLine2(m.line, x, y, x+sample, y)
				if m.dot != nil {
					c.DrawGlyph(draw.GlyphStyle{Color: m.line.Color, Radius: dotRadius, Shape: m.dot}, vg.Point{X: x + sample/2, Y: y})
				}
				return
			}
			h := height / 3
			c.FillPolygon(shade, []vg.Point{{X: x, Y: y - h}, {X: x + sample, Y: y - h}, {X: x + sample, Y: y + h}, {X: x, Y: y + h}})
		})
	}
	c.Max.Y = y - 0.8*height
	return c
}

// titleRows breaks a title between its remarks where a row would run out of the figure.
func titleRows(title string, fits func(row string) bool) (rows []string) {
	for i, remark := range strings.Split(title, "; ") {
		if last := len(rows) - 1; i > 0 {
			joint := "; "
			if strings.HasSuffix(rows[last], "?") {
				joint = " "
			}
			if fits(rows[last] + joint + remark) {
				rows[last] += joint + remark
				continue
			}
		}
		rows = append(rows, remark)
	}
	return rows
}

// Save draws a figure, of the width of all figures, and writes it to dir/name.svg and dir/name.png.
func Save(dir, name string, height vg.Length, paint func(draw.Canvas) error) error {
	return saveAs(dir, name, width, height, paint)
}

// saveAs is Save for a figure of another width.
func saveAs(dir, name string, width, height vg.Length, paint func(draw.Canvas) error) error {
	svg := vgsvg.New(width, height)
	// Arial and Helvetica are as wide, letter by letter, as the face that the layout is made for.
	// A reader without any of the three would see another face, in which labels run into lines.
	faces := func(text []byte) []byte {
		return bytes.ReplaceAll(text, []byte("font-family:Liberation Sans"), []byte("font-family:Liberation Sans,Arimo,Arial,Helvetica,sans-serif"))
	}
	img := vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(200), vgimg.UseBackgroundColor(color.White))}
	for _, out := range []struct {
		file   string
		canvas vg.CanvasSizer
		write  func(io.Writer) error
	}{
		{name + ".svg", svg, func(b io.Writer) error {
			var text bytes.Buffer
			_, err := svg.WriteTo(&text)
			if err == nil {
				_, err = b.Write(faces(text.Bytes()))
			}
			return err
		}},
		{name + ".png", img, func(b io.Writer) error { _, err := img.WriteTo(b); return err }},
	} {
		c := draw.New(out.canvas)
		if err := paint(draw.Crop(c, margin, -margin, margin, -margin)); err != nil {
			return fmt.Errorf("figure %s: %w", name, err)
		}
		if err := files.Write(filepath.Join(dir, out.file), out.write); err != nil {
			return fmt.Errorf("figure %s: %w", name, err)
		}
	}
	return nil
}
