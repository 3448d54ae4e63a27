package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// probeBytes is what there must be space for beside the embedded server's files, or the study ends.
const probeBytes = 256 << 10

// errSpace is returned, wrapped, by a coordinator whose own server cannot write any more.
var errSpace = errors.New("the folder of the study cannot be written")

// mindSpace ends the study when the folder dir, in which the embedded server keeps the cells, cannot be written,
// twice in a row: cells that have ended may have freed space in between. The server says nothing of a full disk.
// It does not answer any more, and all would wait for it.
func (c *coordinator) mindSpace(dir string) {
	c.all.Go(func() {
		for failed := 0; pause(c.ctx, time.Second); {
			err := probe(filepath.Join(dir, "space"))
			if err == nil {
				failed = 0
			} else if failed++; failed == 2 {
				c.stop(fmt.Errorf("%w: %w; make space there: what was finished is whole", errSpace, err))
				return
			}
		}
	})
}

// probe writes a file, and removes it.
func probe(path string) error {
	err := os.WriteFile(path, make([]byte, probeBytes), 0o600)
	if gone := os.Remove(path); err == nil {
		err = gone
	}
	return err
}
