package report

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"strings"
)

// web has the page's parts. uPlot 1.6.32 is MIT licensed, see web/uPlot.LICENSE; its files have the
// SHA-256 sums 19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f (uPlot.iife.min.js)
// and df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04 (uPlot.min.css).
//
//go:embed web
var web embed.FS

// Asset returns a file of the page by its name: charts.js, style.css, uPlot.iife.min.js,
// uPlot.min.css or uPlot.LICENSE. Other pages draw with the same files. It panics if there is no
// such file.
func Asset(name string) string {
	text, err := web.ReadFile("web/" + name)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// policy is the content-security policy of a page that has these scripts and style sheets inside, and
// fetches nothing.
func policy(scripts, styles []string) string {
	hashes := func(texts []string) string {
		var all []string
		for _, t := range texts {
			sum := sha256.Sum256([]byte(t))
			all = append(all, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
		}
		return strings.Join(all, " ")
	}
	return "default-src 'none'; script-src " + hashes(scripts) + "; style-src " + hashes(styles) + "; img-src data: blob:; base-uri 'none'; form-action 'none'"
}
