package connectors

// concealed is an error whose text goes through hide.
type concealed struct {
	err  error
	hide func(string) string
}

func (c *concealed) Error() string { return c.hide(c.err.Error()) }
func (c *concealed) Unwrap() error { return c.err }

// Conceal returns err, with what must not be shown taken out of its text by hide; nil where err is nil.
func Conceal(err error, hide func(string) string) error {
	if err == nil {
		return nil
	}
	return &concealed{err, hide}
}
