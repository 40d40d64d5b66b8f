// Package signatures has random requests signed by other programs than ours, botocore and aws4, and checked by package
// sigv4: each is accepted, and refused with one bit of a part that is signed flipped.
package signatures
