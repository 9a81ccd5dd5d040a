package text

import (
	"fmt"
	"time"
)

// Duration returns a duration in a short form: 70ms, 4.2s, 3m10s, 5h02m, 12d.
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}

// Size returns a number of bytes with three significant digits, in units of 1024: 812K, 52.1M, 1.20G.
func Size[N int64 | uint64](n N) string {
	v, unit := float64(n)/1024, "K"
	for _, next := range []string{"M", "G", "T"} {
		if v < 1000 {
			break
		}
		v, unit = v/1024, next
	}
	switch {
	case unit == "K" || v >= 100:
		return fmt.Sprintf("%.0f%s", v, unit)
	case v >= 10:
		return fmt.Sprintf("%.1f%s", v, unit)
	}
	return fmt.Sprintf("%.2f%s", v, unit)
}
