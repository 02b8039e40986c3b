package state

import (
	"os"

	"golang.org/x/sys/unix"
)

// datasync makes what was written to f durable, its length included, but not its times.
func datasync(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return err
		}
	}
}
