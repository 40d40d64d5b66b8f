package connectors

// Framing says how a text, such as a file, is split into records.
type Framing struct {
	CSV       bool // a record is a line of CSV, which may go on over quoted line ends; else it is a line
	Header    bool // of CSV: the text begins with a header, which is put before every record with a line end between
	Delimiter byte // of CSV
	Quote     byte // of CSV; 0 is none
}

// Framer is the optional capability of a Decoder whose records are not lines.
type Framer interface{ Framing() Framing }
