package study

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/files"
	"github.com/leasestorm/leasestorm/bench/record"
)

// LayOut makes the folder of something that can be resumed, with what it is to have.
func LayOut(dir, file string, v any) error {
	f, err := record.Create(dir)
	if err != nil {
		return err
	}
	defer f.Abandon()
	if err := f.WriteJSON(file, v); err != nil {
		return err
	}
	if err := f.Commit(); err != nil {
		return err
	}
	if f.Path() != filepath.Clean(dir) {
		return fmt.Errorf("%s: %w", dir, record.ErrExists)
	}
	return nil
}

// lock keeps other processes out of the folder of something that can be resumed.
func lock(dir string) (*files.Lock, error) { return files.Take(filepath.Join(dir, ".lock"), dir) }

// ReadLayout reads it back; schema is v's.
func ReadLayout(path, what string, v any, schema *int) error {
	text, err := files.Read(path)
	if err != nil {
		return fmt.Errorf("not a %s's folder: %w", what, err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%s: not a %s's manifest: %w", path, what, err)
	}
	if *schema != bench.ManifestSchema {
		return fmt.Errorf("%s: schema %d, and this program writes %d: use the version that began the %s", path, *schema, bench.ManifestSchema, what)
	}
	return nil
}
