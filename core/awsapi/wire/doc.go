// Package wire reads and writes the documents of AWS's request protocols: JSON 1.1, the older CBOR of AWS's SDKs, and
// Smithy's RPC v2 CBOR. A document's shape is a Go struct whose field tags carry the service model's constraints, so
// that one pass reads a request and finds all that is wrong with it, in AWS's words.
//
// It knows no operation and no HTTP.
//
// The tags of a field:
//
//	aws:"StreamName,required"  the member's name; required members are always written
//	len:"1,128"                least and greatest length: characters of a string, bytes of a blob, items of a list
//	range:"1,10000"            least and greatest number; either may be left out
//	pattern:"[a-zA-Z0-9_.-]+"  the whole string has to match it
//	enum:"NONE,KMS"            the values a string may have
//	key:"1,128" value:"0,256"  lengths of a map's keys and values; item:"..." of a list's strings
//
// A member that is left out, or null, is the zero value of its field. Fields are string, []byte (a blob), int32, int64,
// bool, Time, structs, pointers to structs and numbers, slices of those, and map[string]string.
package wire
