//go:build !unix

package files

// SyncDir does nothing: folders cannot be synced here.
func (system) SyncDir(string) error { return nil }
