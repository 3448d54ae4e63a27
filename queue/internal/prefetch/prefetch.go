// Package prefetch asks the processor for cache lines that are written soon. A store to a line
// that another core holds waits for it, and stores wait one after another; lines that are asked
// for come side by side.
package prefetch
