package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/leasestorm/leasestorm/bench/record"
)

// output is stdout, whose first error it remembers: what nobody could read is no success,
// whichever verb has written it and whether or not it has looked.
type output struct {
	w   io.Writer
	err error
}

func (o *output) Write(p []byte) (n int, err error) {
	if o.err == nil {
		n, o.err = o.w.Write(p)
	}
	return n, o.err
}

// closed says whether the reader has gone, as head does.
func (o *output) closed() bool { return errors.Is(o.err, syscall.EPIPE) }

// fresh calls begin with the folder out. If none was asked for it is one in results, and
// another where that is taken: two runs may begin in one second.
func fresh(out string, begin func(dir string) error, name ...string) (err error) {
	if out != "" {
		return begin(out)
	}
	base := resultsFolder(name...)
	dir := base
	for n := 2; n < 1000; n++ {
		if err = begin(dir); !errors.Is(err, record.ErrExists) && !errors.Is(err, record.ErrInUse) {
			break
		}
		dir = fmt.Sprintf("%s-%d", base, n)
	}
	return err
}

// mkdir makes a folder that is not there.
func mkdir(dir string) error {
	err := os.MkdirAll(filepath.Dir(dir), 0o755)
	if err == nil {
		err = os.Mkdir(dir, 0o755)
	}
	if errors.Is(err, os.ErrExist) {
		err = fmt.Errorf("%s: %w", dir, record.ErrExists)
	}
	return err
}

// writeNew writes a file that was not there when the command began. Where there is one by
// now, the new one gets a number in its name, which is returned.
func writeNew(path, text string) (string, error) {
	return record.WriteNew(path, record.Text(text))
}

// writeAll writes files of a folder, by name.
func writeAll(dir string, files map[string]func(io.Writer) error) (err error) {
	for name, write := range files {
		err = errors.Join(err, record.WriteFile(filepath.Join(dir, name), write))
	}
	return err
}
