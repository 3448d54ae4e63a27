package report

import (
	"bytes"
	"context"
	_ "embed" // the template
	"encoding/json"
	"html/template"
	"io"
	"path/filepath"

	"github.com/leasestorm/leasestorm/bench/internal/files"
)

// File is the page's name in a result folder.
const File = "report.html"

//go:embed web/page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// Make makes the page of the result folder dir, and returns its path.
func Make(ctx context.Context, dir string) (string, error) {
	p, err := Build(ctx, dir)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, File)
	return path, files.Write(path, p.Write)
}

// Write writes the page as HTML.
func (p *Page) Write(w io.Writer) error {
	type section struct {
		Names []string `json:"names"`
		Most  int      `json:"most"`
		Parts []Part   `json:"parts"`
	}
	var data struct {
		Sections []section `json:"sections"`
	}
	for _, s := range p.Sections {
		data.Sections = append(data.Sections, section{s.Names, s.Most, s.Parts})
	}
	text, err := json.Marshal(data) // escapes <, > and &: it cannot end its script element
	if err != nil {
		return err
	}
	scripts := []string{Asset("uPlot.iife.min.js"), Asset("charts.js"), Asset("page.js")}
	styles := []string{Asset("uPlot.min.css"), Asset("style.css")}
	var out bytes.Buffer
	if err := pageTemplate.Execute(&out, map[string]any{
		"Policy": policy(scripts, styles), "Page": p, "Data": template.JS(text), //nolint:gosec // made by encoding/json
		"UPlot": template.JS(scripts[0]), "Charts": template.JS(scripts[1]), "Script": template.JS(scripts[2]), //nolint:gosec // our own files
		"UPlotCSS": template.CSS(styles[0]), "CSS": template.CSS(styles[1]), //nolint:gosec // our own files
	}); err != nil {
		return err
	}
	_, err = out.WriteTo(w)
	return err
}

// URL is the figure as a data URL, for the template.
func (f Figure) URL() template.URL { return template.URL(dataURL(f.SVG)) } //nolint:gosec // an image, which runs nothing
