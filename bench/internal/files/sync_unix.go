//go:build unix

package files

import (
	"errors"
	"os"
	"syscall"
)

func (system) SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	if err = d.Sync(); errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil // a file system that cannot, or need not
	}
	return errors.Join(err, d.Close())
}
