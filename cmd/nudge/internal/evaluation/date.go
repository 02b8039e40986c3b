package evaluation

import (
	"fmt"
	"time"
)

// layouts are the dates and times that are understood besides numbers, as UTC where they name no zone.
var layouts = []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999", "2006-01-02 15:04:05 UTC", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02", "2006/01/02 15:04:05", "01/02/2006 15:04"}

func parseDate(s string) (ms int64, err error) {
	for _, layout := range layouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UnixMilli(), nil
		}
	}
	return 0, fmt.Errorf("time %q: want seconds or milliseconds since 1970, or a date such as 2006-01-02T15:04:05Z", s)
}
