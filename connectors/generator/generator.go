package generator

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/brianvoe/gofakeit/v7"

	"github.com/penstock/penstock/core"
)

// Config is `source: {generate: ...}`.
type Config struct {
	Template string `yaml:"template" json:"template,omitempty" jsonschema:"description=clickstream or a text with gofakeit functions such as {{Email}}. Default clickstream."`
	Rate     Rate   `yaml:"rate" json:"rate,omitempty" jsonschema:"description=Events a second such as 10000/s. Default: as fast as they are taken."`
	Count    int64  `yaml:"count" json:"count,omitempty" jsonschema:"description=How many events; then the source ends. Default: without end."`
	Seed     uint64 `yaml:"seed" json:"seed,omitempty" jsonschema:"description=Other seeds give other events. Default 1."`
}

// Rate is a number of events a second, written as 10000/s.
type Rate int64

var rateForm = regexp.MustCompile(`^([1-9][0-9]{0,8})(/s)?$`)

// UnmarshalText reads the written form.
func (r *Rate) UnmarshalText(text []byte) error {
	m := rateForm.FindSubmatch(text)
	if m == nil {
		return fmt.Errorf("%q is not a rate such as 10000/s: %w", text, core.ErrInvalid)
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	*r = Rate(n)
	return err
}

// MarshalText writes the written form.
func (r Rate) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%d/s", r), nil }

// Validate returns what is wrong with c.
func (c Config) Validate() error {
	switch {
	case c.Count < 0:
		return fmt.Errorf("count must not be negative: %w", core.ErrInvalid)
	case c.Template != "" && c.Template != clickstream && !strings.Contains(c.Template, "{{"):
		return fmt.Errorf("template %q is neither %s nor a text with {{functions}}: %w", c.Template, clickstream, core.ErrInvalid)
	}
	return nil
}

const clickstream = "clickstream"

// Generator makes events.
type Generator struct {
	cfg   Config
	epoch time.Time // of event 0
}

// New returns a generator. It returns core.ErrInvalid when the template does not run.
func New(cfg Config) (*Generator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Template == "" {
		cfg.Template = clickstream
	}
	if cfg.Seed == 0 {
		cfg.Seed = 1
	}
	g := &Generator{cfg, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	if _, _, err := g.Event(nil, 0); err != nil {
		return nil, fmt.Errorf("template: %w: %w", err, core.ErrInvalid)
	}
	return g, nil
}

// ID tells generators of different events apart.
func (g *Generator) ID() string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(g.cfg.Template)) // never fails
	return fmt.Sprintf("generate-%016x-%d", h.Sum64(), g.cfg.Seed)
}

// Time is when event i is said to have happened: they are 100 ms apart.
func (g *Generator) Time(i int64) time.Time {
	return g.epoch.Add(time.Duration(i) * 100 * time.Millisecond)
}

// Event appends the data of event i to b and returns it with the event's partition key.
func (g *Generator) Event(b []byte, i int64) (key string, data []byte, err error) {
	rng := rand.NewPCG(g.cfg.Seed, uint64(i)) //nolint:gosec // made-up data
	if g.cfg.Template == clickstream {
		return g.click(b, i, rand.New(rng)) //nolint:gosec // made-up data
	}
	text, err := gofakeit.NewFaker(rng, false).Template(g.cfg.Template, nil)
	return strconv.FormatInt(i, 10), append(b, text...), err
}

var (
	eventTypes = []string{"page_view", "page_view", "page_view", "click", "click", "search", "add_to_cart", "purchase", "heartbeat"}
	pages      = []string{"/", "/products", "/products/42", "/search", "/cart", "/checkout", "/about", "/blog/why-streams"}
	countries  = []string{"DE", "FR", "US", "US", "GB", "JP", "BR", "IN"}
	cities     = []string{"Berlin", "Paris", "Boston", "Austin", "London", "東京", "São Paulo", "Pune"}
	agents     = []string{"Mozilla/5.0 (X11; Linux x86_64)", "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0)", "curl/8.9", "Mozilla/5.0 (Windows NT 10.0)"}
)

// click is one event of a web shop, about 330 bytes.
func (g *Generator) click(b []byte, i int64, rng *rand.Rand) (string, []byte, error) {
	user := rng.IntN(50_000)
	key := "user-" + strconv.Itoa(user)
	where := rng.IntN(len(countries))
	b = append(b, `{"event_id":"`...)
	b = strconv.AppendUint(b, rng.Uint64(), 16)
	b = append(b, `","event_time":"`...)
	b = g.Time(i).AppendFormat(b, "2006-01-02T15:04:05.000Z07:00")
	b = append(b, `","event_type":"`...)
	b = append(b, eventTypes[rng.IntN(len(eventTypes))]...)
	b = append(b, `","user_id":"`...)
	b = append(b, key...)
	b = append(b, `","session":`...)
	b = strconv.AppendInt(b, rng.Int64N(1_000_000_000), 10)
	b = append(b, `,"url":"https://shop.example`...)
	b = append(b, pages[rng.IntN(len(pages))]...)
	b = append(b, `","referrer":`...)
	if rng.IntN(4) == 0 {
		b = append(b, `null`...)
	} else {
		b = append(b, `"https://search.example/?q=`...)
		b = strconv.AppendInt(b, rng.Int64N(1000), 10)
		b = append(b, '"')
	}
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, []int64{200, 200, 200, 304, 404, 500}[rng.IntN(6)], 10)
	b = append(b, `,"bytes":`...)
	b = strconv.AppendInt(b, rng.Int64N(60_000), 10)
	b = append(b, `,"seconds":`...)
	b = strconv.AppendFloat(b, float64(rng.IntN(5000))/1000, 'f', -1, 64)
	b = append(b, `,"geo":{"country":"`...)
	b = append(b, countries[where]...)
	b = append(b, `","city":"`...)
	b = append(b, cities[where]...)
	b = append(b, `","lat":`...)
	b = strconv.AppendFloat(b, float64(rng.IntN(180_000))/1000-90, 'f', -1, 64)
	b = append(b, `},"agent":"`...)
	b = append(b, agents[rng.IntN(len(agents))]...)
	return key, append(b, `"}`...), nil
}
