// Package results holds no code: published has the manifests, series and figures that the
// README and docs show, and every other folder is a run of one's own.
package results
