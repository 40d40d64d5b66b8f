// Package logline decodes the access logs of Apache, nginx and those who write as they do.
//
// The one idea: a line is scanned once, by hand, into columns that are always the same: client_ip, ident, user, time,
// method, path, protocol, request, status, bytes, and of the combined format referrer and user_agent. A dash is null.
// request is what the client sent where that is no request line of three parts, and null where it is.
//
// Escapes in quotes are undone where they stand for text: \" \\ and \xc3\xa9. Those that stand for a control character
// or for no UTF-8 stay as the server wrote them. Some servers escape nothing, so a quote with no space after it belongs
// to the text; and some cut long lines, so the last quote may be missing. What follows the fields of the format, such as
// nginx's "$http_x_forwarded_for", is kept in _rescued as rest.
//
// A line that is no such line is refused, with the byte at which it goes wrong. Lines joined in one record are as many
// rows.
package logline
