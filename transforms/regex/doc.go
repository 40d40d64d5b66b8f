// Package regex decodes records by a regular expression: each named group is a column of strings, null where the group
// took no part in the match.
//
// The one idea: the expression is the schema. It is RE2, as Go has it, so that no record makes it slow. It may match
// anywhere in the record, whose last line end does not count: begin it with ^ and end it with $ where that matters. A
// record that it does not match is refused. Where source.schema declares a column otherwise, the text becomes that type
// if it is one exactly, and goes to _rescued if not.
package regex
