//go:build !unix

package embedded

import "os"

// lockFile only opens the file where the system has no advisory locks.
func lockFile(path string) (*os.File, error) { return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644) }
