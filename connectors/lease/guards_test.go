package lease

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEachGuardIsNeeded switches one protection off at a time: the simulation notices the loss of each within few seeds.
func TestEachGuardIsNeeded(t *testing.T) {
	const most = 400
	for name, without := range map[string]struct {
		guards
		live func(uint64, guards) *sim
	}{
		"epoch":    {guards{epoch: true}, trouble},
		"version":  {guards{version: true}, trouble},
		"counter":  {guards{counter: true}, trouble},
		"renewed":  {guards{renewed: true}, trouble},
		"ready":    {guards{ready: true}, trouble},
		"flush":    {guards{flush: true}, trouble},
		"patience": {guards{patience: true}, trouble},
		"restore":  {guards{restore: true}, trouble},
		"overdue":  {guards{overdue: true}, trouble},
		"own":      {guards{own: true}, play},
		"settle":   {guards{settle: true}, play},
		"tidy":     {guards{tidy: true}, play},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(most) {
				s := without.live(seed, without.guards)
				s.end()
				if len(s.wrong) > 0 {
					t.Logf("guard=%s seed=%d: %s", name, seed, s.wrong[0])
					return
				}
			}
			require.Failf(t, "the loss is not noticed", "%d seeds ran clean without the guard", most)
		})
	}
}
