package integration

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/penstock/penstock/core/stream"
)

// poison is a kind of record that good ones are mixed with.
type poison struct {
	name string
	text func(i int) string // the i-th of the kind
	code string             // of its dead letter, which decode made unless stage says otherwise; empty: it arrives
	// rows are the objects that arrive; nil: one, the record itself.
	rows  func(text string) []string
	stage string
	huge  bool // there are only a few of the kind
}

func always(text string) func(int) string { return func(int) string { return text } }

func field(value string) func(int) string {
	return func(i int) string { return fmt.Sprintf(`{"kind":"poison","n":%d,"odd":%s}`, i, value) }
}

func oneOf(texts ...string) func(int) string {
	return func(i int) string { return texts[i%len(texts)] }
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(b)
}

// controls is a string with every character below a space, and some above that are trouble.
func controls() string {
	var b strings.Builder
	for c := range rune(32) {
		b.WriteRune(c)
	}
	return b.String() + "\x7f\u0085\u2028\u2029\ufeff\ufffd\U0001f600\"\\/"
}

// largest is a record as large as any may be, with a partition key of up to 8 bytes.
const largest = stream.MaxMaxRecord - 8

var poisons = []poison{
	// What is refused.
	{name: "no JSON at all", text: always("GET / HTTP/1.1"), code: "bad_json"},
	{name: "empty", text: oneOf("", " ", "\n", "\r\n\t "), code: "empty"},
	{name: "an object that is cut", text: always(`{"kind":"poison","n":`), code: "bad_json"},
	{name: "a trailing comma", text: always(`{"n":1,}`), code: "bad_json"},
	{name: "single quotes", text: always(`{'n':1}`), code: "bad_json"},
	{name: "text behind the object", text: always(`{"n":1} and more`), code: "bad_json"},
	{name: "NaN and Infinity", text: oneOf(`{"n":NaN}`, `{"n":Infinity}`, `{"n":-Infinity}`), code: "bad_json"},
	{name: "numbers that are none", text: oneOf(`{"n":01}`, `{"n":+1}`, `{"n":.5}`, `{"n":1.}`, `{"n":0x10}`, `{"n":1e}`), code: "bad_json"},
	{name: "comments", text: oneOf("{\"n\":1/*x*/}", "// x\n{\"n\":1}"), code: "bad_json"},
	{name: "a byte order mark", text: always("\ufeff{\"n\":1}"), code: "bad_json"},
	{name: "NUL bytes", text: oneOf("\x00", "\x00\x00\x00\x00", "{\"n\":1}\x00", "{\"n\":\"\x00\"}"), code: "bad_json"},
	{name: "control characters that are not escaped", text: oneOf("{\"n\":\"\t\"}", "{\"n\":\"\r\"}", "{\"n\":\"\x1f\"}"), code: "bad_json"},
	{name: "invalid UTF-8 in a value", text: oneOf("{\"odd\":\"\xff\"}", "{\"odd\":\"\xc3\"}", "{\"odd\":\"\xed\xa0\x80\"}", "{\"odd\":\"\xf8\x88\x80\x80\x80\"}"), code: "bad_utf8"},
	{name: "invalid UTF-8 in a key", text: always("{\"\xff\":1}"), code: "bad_utf8"},
	{name: "binary", text: always("\x1f\x8b\x08\x00\xff\xfe\xfd"), code: "bad_json"},
	{name: "lone surrogates", text: oneOf(`{"odd":"\ud800"}`, `{"odd":"\udc00\ud800"}`, `{"odd":"\ud800\u0041"}`, `{"\ud800":1}`), code: "bad_json"},
	{name: "broken escapes", text: oneOf(`{"odd":"\x41"}`, `{"odd":"\u12"}`, `{"odd":"\`, `{"odd":"\uzzzz"}`), code: "bad_json"},
	{name: "values that are no objects", text: oneOf(`5`, `"text"`, `null`, `true`, `[1,2]`, `[[{"n":1}]]`), code: "not_object"},
	{name: "an array with one value that is no object", text: always(`[{"n":1},{"n":2},3]`), code: "not_object"},
	{name: "joined objects of which the last is cut", text: always("{\"n\":1}\n{\"n\":2}\n{\"n\""), code: "bad_json"},
	{name: "objects nested 1,000 deep", text: always(strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000)), code: "too_deep"},
	{name: "arrays nested 100,000 deep", text: always(`{"a":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}"), code: "too_deep"},
	{name: "arrays nested 100,000 deep that do not end", text: always(strings.Repeat("[", 100_000)), code: "too_deep"},
	{name: "10 MiB that are no JSON", text: always(strings.Repeat("\xff", largest)), code: "bad_json", huge: true},
	{name: "a division by zero in a stage", text: func(i int) string { return fmt.Sprintf(`{"kind":"poison","n":%d,"div":0}`, i) }, code: "division_by_zero", stage: "stages[1].compute"},

	// What makes no row.
	{name: "an empty array", text: oneOf("[]", " [ ]\n"), rows: func(string) []string { return nil }},

	// What arrives, in columns or rescued.
	{name: "wrong types", text: func(i int) string {
		return fmt.Sprintf(`{"kind":"poison","id":%s}`, []string{`"text"`, `{"a":1}`, `[1]`, `true`, `1.5`}[i%5])
	}},
	{name: "a field that changes its type back and forth", text: func(i int) string {
		return field([]string{`1`, `"1"`, `{"a":1}`, `[1,"a",null]`, `false`, `1.5`, `{"a":"x","b":[{}]}`, `[]`, `{}`, `null`}[i%10])(i)
	}},
	{name: "integers beyond 64 bits", text: field("92233720368547758070000000000")},
	{name: "integers next to the limits", text: func(i int) string {
		return field([]string{"9223372036854775807", "-9223372036854775808", "9223372036854775808", "9007199254740993"}[i%4])(i)
	}},
	{name: "numbers beyond a double", text: func(i int) string {
		return field([]string{"1e400", "-1e999999999", "1e-400", "5e-324", "1.2345678e-320", "0.1234567890123456789012345678901234567890", "1e308"}[i%7])(i)
	}},
	{name: "duplicate keys", text: always(`{"kind":"poison","id":1,"id":"two","odd":{"a":1,"a":2},"id":3,"odd":[],"odd":{"a":1,"a":"x"}}`)},
	{name: "_rescued as an input field", text: oneOf(`{"kind":"poison","_rescued":"{\"n\":1}"}`, `{"kind":"poison","_rescued":{"id":1}}`, `{"kind":"poison","_rescued":null,"id":"x"}`, `{"_rescued":5,"_rescued":6}`), rows: func(text string) []string { return []string{text} }},
	{name: "names of hidden columns", text: always(`{"kind":"poison","_penstock.handle":1,"_penstock.ord":"x","_penstock.arrival":null,"_penstock.key":{"a":1},"_penstock.":0,"data":"mine"}`)},
	{name: "an array of objects", text: func(i int) string { return fmt.Sprintf(`[{"kind":"poison","n":%d},{"odd":[%d]}]`, i, i) }, rows: func(text string) []string {
		a, b, _ := strings.Cut(strings.Trim(text, "[]"), ",{")
		return []string{a, "{" + b}
	}},
	{name: "newline-joined objects", text: func(i int) string { return fmt.Sprintf("{\"kind\":\"poison\",\"n\":%d}\n\n{\"n\":-1}\r\n{}", i) }, rows: strings.Fields},
	{name: "a huge key", text: always(`{"kind":"poison","` + strings.Repeat("k", 100_000) + `":1}`)},
	{name: "empty and odd keys", text: always(`{"":1," ":2,"\u0000":3,"a.b":4,"a/b":5,"\"":6,"\n":7,"é":8,"💧":9}`)},
	{name: "every control character", text: func(i int) string { return field(quoted(controls()))(i) }},
	{name: "times out of range", text: func(i int) string {
		return fmt.Sprintf(`{"kind":"poison","at":%s}`, []string{
			`"+999999-01-01T00:00:00Z"`, `"2026-13-45T25:61:61Z"`, `9223372036854775807`, `"0000-00-00T00:00:00Z"`, `"now"`, `{"year":2026}`, `"2026-01-01T00:00:00.123456789Z"`, `-1e300`,
		}[i%8])
	}},
	{name: "partition values that are paths", text: func(i int) string {
		return fmt.Sprintf(`{"kind":"poison","part":%s}`, []string{
			`"../../../../etc/passwd"`, `"\u0000"`, `"/"`, `".."`, `"a/b\\c"`, `"%2e%2e%2f"`, `""`, `"C:\\"`, `"` + strings.Repeat("long", 1000) + `"`, `"\n"`, `5`, `{"a":"../"}`, `"=/="`,
		}[i%13])
	}},
	{name: "arrays and objects nested 100 deep", text: oneOf(`{"deep":`+strings.Repeat(`{"a":`, 99)+"1"+strings.Repeat("}", 100), `{"deep_list":`+strings.Repeat("[", 99)+"1"+strings.Repeat("]", 99)+"}")},
	{name: "10 MiB in one string", text: always(`{"kind":"poison","odd":"` + strings.Repeat("x", largest-40) + `"}`), huge: true},
}
