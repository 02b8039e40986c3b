//go:build !linux

package state

import "errors"

func mountTmpfs(dir, size string) error { return errors.ErrUnsupported }
