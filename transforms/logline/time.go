package logline

// timeLength is how long a time such as 17/May/2015:10:05:03 +0000 is.
const timeLength = 26

// parseTime is the time at the start of b, which has as many bytes, in microseconds since 1970; false if there is none.
func parseTime(b []byte) (int64, bool) {
	b = b[:timeLength]
	if b[2] != '/' || b[6] != '/' || b[11] != ':' || b[14] != ':' || b[17] != ':' || b[20] != ' ' {
		return 0, false
	}
	day, month := number(b[0:2]), monthOf(b[3:6])
	century, years := number(b[7:9]), number(b[9:11])
	hour, minute, second := number(b[12:14]), number(b[15:17]), number(b[18:20])
	zoneHour, zoneMinute := number(b[22:24]), number(b[24:26])
	year := century*100 + years
	switch {
	case century < 0 || years < 0 || month == 0 || day < 1 || day > daysIn(month, year):
		return 0, false
	case hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59:
		return 0, false
	case zoneHour < 0 || zoneHour > 23 || zoneMinute < 0 || zoneMinute > 59 || b[21] != '+' && b[21] != '-':
		return 0, false
	}
	zone := (zoneHour*60 + zoneMinute) * 60
	if b[21] == '-' {
		zone = -zone
	}
	return (int64(daysBefore(year, month)+day-1)*86400 + int64(hour*3600+minute*60+second-zone)) * 1_000_000, true
}

// number is the value of two digits; less than 0 if they are none.
func number(b []byte) int {
	hi, lo := b[0]-'0', b[1]-'0'
	if hi > 9 || lo > 9 {
		return -1 << 20
	}
	return int(hi)*10 + int(lo)
}

// monthOf is the number of a month by its English name; 0 if it is none.
func monthOf(b []byte) int {
	switch string(b) {
	case "Jan":
		return 1
	case "Feb":
		return 2
	case "Mar":
		return 3
	case "Apr":
		return 4
	case "May":
		return 5
	case "Jun":
		return 6
	case "Jul":
		return 7
	case "Aug":
		return 8
	case "Sep":
		return 9
	case "Oct":
		return 10
	case "Nov":
		return 11
	case "Dec":
		return 12
	}
	return 0
}

var monthDays = [...]int{0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

func daysIn(month, year int) int {
	if month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0) {
		return 29
	}
	return monthDays[month]
}

// daysBefore is how many days lie between 1970 and the first of a month. Years are counted from March, so that the leap
// day is the last.
func daysBefore(year, month int) int {
	if month <= 2 {
		year--
		month += 12
	}
	year += 400 // no division of less than 0
	return year*365 + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 - 719468 - 146097
}
