package scratch

// Damage changes a byte of what was put.
func (f *File) Damage(at int64) error {
	_, err := f.f.WriteAt([]byte{0xff}, at)
	return err
}
