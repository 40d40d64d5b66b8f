package stream

// Mode says who sees to it that a stream has enough shards.
type Mode string

// The modes of a stream.
const (
	Provisioned Mode = "PROVISIONED" // its user
	OnDemand    Mode = "ON_DEMAND"   // Penstock
)

// FirstOnDemand is how many shards an on-demand stream begins with.
const FirstOnDemand = 4
