package streams

// Times are RFC 3339 at the edges and Unix milliseconds within. Parsing and writing are done by hand: they are on the
// path of every event and every decision.

// maxMS is the last millisecond of the year 9999, the last that RFC 3339 can write.
const maxMS = 253402300799999

// daysFromCivil counts the days from 1970-01-01 to the given date of the proleptic Gregorian calendar.
// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
func daysFromCivil(y, m, d int) int {
	if m <= 2 {
		y--
		m += 12
	}
	era := y / 400 // y >= 0 here
	if y < 0 {
		era = (y - 399) / 400
	}
	yoe := y - era*400
	doy := (153*(m-3)+2)/5 + d - 1
	return era*146097 + yoe*365 + yoe/4 - yoe/100 + doy - 719468
}

func civilFromDays(z int) (y, m, d int) {
	z += 719468
	era := z / 146097
	if z < 0 {
		era = (z - 146096) / 146097
	}
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	d = doy - (153*mp+2)/5 + 1
	m = mp + 3
	y = yoe + era*400
	if m > 12 {
		m -= 12
		y++
	}
	return y, m, d
}

func digits2(s string, i int) int {
	a, b := s[i]-'0', s[i+1]-'0'
	if a > 9 || b > 9 {
		return -1
	}
	return int(a)*10 + int(b)
}

var monthDays = [13]int{0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// ParseTime reads an RFC 3339 time with a zone as Unix milliseconds; digits beyond the millisecond are cut off. A leap
// second is read as the first second of the next minute. The year must be written with four digits.
func ParseTime(s string) (ms int64, ok bool) {
	if len(s) < len("2006-01-02T15:04:05Z") || s[4] != '-' || s[7] != '-' || s[10]|0x20 != 't' || s[13] != ':' || s[16] != ':' {
		return 0, false
	}
	century, yy := digits2(s, 0), digits2(s, 2)
	month, day := digits2(s, 5), digits2(s, 8)
	hour, minute, sec := digits2(s, 11), digits2(s, 14), digits2(s, 17)
	if century|yy|month|day|hour|minute|sec < 0 || month < 1 || month > 12 || day < 1 || day > monthDays[month] ||
		hour > 23 || minute > 59 || sec > 60 {
		return 0, false
	}
	year := century*100 + yy
	if month == 2 && day == 29 && (year%4 != 0 || year%100 == 0 && year%400 != 0) {
		return 0, false
	}
	i := 19
	frac := 0
	if s[i] == '.' {
		i++
		start, scale := i, 100
		for ; i < len(s) && s[i]-'0' <= 9; i++ {
			frac += int(s[i]-'0') * scale
			scale /= 10
		}
		if i == start {
			return 0, false
		}
	}
	if i >= len(s) {
		return 0, false
	}
	offset := 0
	switch s[i] {
	case 'Z', 'z':
		i++
	case '+', '-':
		if i+6 > len(s) || s[i+3] != ':' {
			return 0, false
		}
		oh, om := digits2(s, i+1), digits2(s, i+4)
		if oh|om < 0 || oh > 23 || om > 59 {
			return 0, false
		}
		offset = oh*60 + om
		if s[i] == '-' {
			offset = -offset
		}
		i += 6
	default:
		return 0, false
	}
	if i != len(s) {
		return 0, false
	}
	days := daysFromCivil(year, month, day)
	return int64(days)*86400_000 + int64((hour*60+minute-offset)*60+sec)*1000 + int64(frac), true
}

// AppendTime appends ms as RFC 3339 in UTC with three digits of the second: 2026-11-23T12:44:20.131Z.
// Times before the year 0 or after 9999 are written as the nearest that can be.
func AppendTime(dst []byte, ms int64) []byte {
	const minMS = -62167219200000
	ms = min(max(ms, minMS), maxMS)
	days := ms / 86400_000
	rest := int(ms - days*86400_000)
	if rest < 0 {
		rest += 86400_000
		days--
	}
	y, m, d := civilFromDays(int(days))
	milli := rest % 1000
	rest /= 1000
	sec := rest % 60
	rest /= 60
	return append(dst,
		byte('0'+y/1000), byte('0'+y/100%10), byte('0'+y/10%10), byte('0'+y%10), '-',
		byte('0'+m/10), byte('0'+m%10), '-',
		byte('0'+d/10), byte('0'+d%10), 'T',
		byte('0'+rest/60/10), byte('0'+rest/60%10), ':',
		byte('0'+rest%60/10), byte('0'+rest%60%10), ':',
		byte('0'+sec/10), byte('0'+sec%10), '.',
		byte('0'+milli/100), byte('0'+milli/10%10), byte('0'+milli%10), 'Z')
}
