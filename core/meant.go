package core

import (
	"strings"

	"github.com/agnivade/levenshtein"
)

// maxMeant bounds the names that are compared.
const maxMeant = 60

// Meant is the one of those that there are which name nearly is, or empty: what a misspelt name may be meant to be.
func Meant(name string, have []string) string {
	if len(name) > maxMeant {
		return ""
	}
	best, least := "", 3
	for _, h := range have {
		if d := levenshtein.ComputeDistance(strings.ToLower(name), strings.ToLower(h)); d < least && d < max(len(h), 2) {
			best, least = h, d
		}
	}
	return best
}
