// Package listen has the addresses that a server listens at, and who is let in there.
//
// The one idea: a place is one text, as clients write their endpoint: HOST:PORT, http://HOST:PORT, https://HOST:PORT or
// unix:///PATH. Which of them speak TLS is said by the text; with what certificate is not known here.
package listen
