package local

import (
	"fmt"
	"math/rand/v2"

	"github.com/penstock/penstock/core/shardlog"
)

// workload is a short history of a data directory.
type workload struct {
	name  string
	cfg   Config
	steps []step
}

var small = Config{FileSize: 4096, HotTail: 1, Reserve: 16 << 10, Vital: []shardlog.LogID{"c"}}

var movedAway = Config{FileSize: 4096, LogSize: 1, OwnSegment: 3000, HotTail: 1, Reserve: 16 << 10, Vital: []shardlog.LogID{"c"}}

// workloads are what a log goes through in its life, each in at most a dozen steps.
func workloads() []workload {
	return []workload{
		{"first start", Config{}, []step{{"reopen", "", 0}, {"kill", "", 0}, {"reopen", "", 0}}},
		{"create and put", Config{}, []step{{"create", "a", 0}, {"claim", "a", 0}, {"put", "a", 1}, {"put", "a", 3}}},
		{"put and reopen", Config{}, []step{
			{"create", "a", 0}, {"claim", "a", 0}, {"put", "a", 1}, {"reopen", "", 0}, {"claim", "a", 0}, {"put", "a", 1}, {"reopen", "", 0}, {"claim", "a", 0}, {"put", "a", 1},
		}},
		{"put and kill", Config{}, []step{
			{"create", "a", 0}, {"claim", "a", 0}, {"put", "a", 1}, {"kill", "", 0}, {"kill", "", 0}, {"claim", "a", 0}, {"put", "a", 1}, {"kill", "", 0}, {"claim", "a", 0}, {"put", "a", 1},
		}},
		{"roll", small, []step{
			{"create", "a", 0}, {"create", "b", 0}, {"claim", "a", 0}, {"put", "a", 200}, {"put", "a", 200}, {"claim", "b", 0}, {"put", "b", 200}, {"put", "a", 1}, {"put", "b", 200}, {"put", "a", 1},
		}},
		{"roll and trim", small, []step{
			{"create", "a", 0}, {"claim", "a", 0}, {"put", "a", 200}, {"put", "a", 200}, {"put", "a", 200}, {"put", "a", 200}, {"trim", "a", 1}, {"trim", "a", 3}, {"put", "a", 1}, {"reopen", "", 0}, {"trim", "a", 5},
		}},
		{"trim many files at once", small, []step{
			{"create", "a", 0}, {"create", "b", 0}, {"claim", "a", 0}, {"claim", "b", 0}, {"put", "b", 1}, {"put", "a", 300}, {"put", "a", 300}, {"put", "a", 300}, {"put", "a", 300}, {"trim", "a", 4}, {"trim", "b", 1}, {"put", "a", 1},
		}},
		{"delete and create again", small, []step{
			{"create", "a", 0}, {"claim", "a", 0}, {"put", "a", 200}, {"delete", "a", 0}, {"create", "a", 0}, {"claim", "a", 0}, {"put", "a", 200}, {"reopen", "", 0}, {"delete", "a", 0}, {"create", "a", 0},
		}},
		{"move to segments", movedAway, []step{
			{"create", "a", 0}, {"create", "b", 0}, {"claim", "a", 0}, {"claim", "b", 0}, {"put", "b", 1}, {"put", "a", 300}, {"put", "a", 300}, {"put", "b", 1}, {"put", "a", 300}, {"tidy", "", 0}, {"reopen", "", 0}, {"claim", "a", 0}, {"put", "a", 300}, {"put", "a", 300}, {"tidy", "", 0},
		}},
		{"trim and delete what was moved", movedAway, []step{
			{"create", "a", 0}, {"create", "b", 0}, {"claim", "a", 0}, {"claim", "b", 0}, {"put", "a", 300}, {"put", "b", 20}, {"put", "a", 300}, {"put", "a", 300}, {"tidy", "", 0}, {"trim", "a", 1}, {"delete", "b", 0}, {"create", "b", 0}, {"put", "a", 300}, {"trim", "a", 3}, {"tidy", "", 0}, {"kill", "", 0},
		}},
		{"seal", Config{}, []step{
			{"create", "a", 0}, {"claim", "a", 0}, {"put", "a", 1}, {"seal", "a", 0}, {"put", "a", 1}, {"reopen", "", 0}, {"claim", "a", 0}, {"seal", "a", 0},
		}},
		{"three logs in one group", small, []step{
			{"create", "a", 0}, {"create", "b", 0}, {"create", "c", 0}, {"claim", "a", 0}, {"claim", "b", 0}, {"claim", "c", 0}, {"together", "", 40}, {"together", "", 40}, {"together", "", 40}, {"trim", "b", 2}, {"kill", "", 0},
		}},
		{"a large group", Config{}, []step{{"create", "a", 0}, {"claim", "a", 0}, {"put", "a", 2000}, {"put", "a", 1}, {"kill", "", 0}, {"claim", "a", 0}, {"put", "a", 2000}}},
		{"claims fence", Config{}, []step{
			{"create", "a", 0}, {"claim", "a", 0}, {"put", "a", 1}, {"claim", "a", 0}, {"put", "a", 1}, {"kill", "", 0}, {"put", "a", 1}, {"claim", "a", 0}, {"put", "a", 1},
		}},
	}
}

// randomWorkload is twelve steps of any kind.
func randomWorkload(seed uint64) workload {
	rng := rand.New(rand.NewPCG(seed, 7))
	logs := []shardlog.LogID{"a", "b", "c"}
	w := workload{name: fmt.Sprint("random ", seed), cfg: small, steps: []step{{"create", "a", 0}, {"claim", "a", 0}}}
	switch rng.IntN(4) {
	case 0:
		w.cfg = Config{FileSize: 1 << 20}
	case 1:
		w.cfg = movedAway
	}
	kinds := []string{"create", "claim", "claim", "put", "put", "put", "put", "together", "trim", "trim", "seal", "delete", "reopen", "kill"}
	for len(w.steps) < 12 {
		s := step{do: kinds[rng.IntN(len(kinds))], log: logs[rng.IntN(len(logs))]}
		switch s.do {
		case "put", "together":
			s.n = []int{1, 3, 60, 200}[rng.IntN(4)]
		case "trim":
			s.n = 1 + rng.IntN(5)
		}
		w.steps = append(w.steps, s)
	}
	return w
}
