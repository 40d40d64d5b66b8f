package controlapi

// The documents of the service; wire's tags say what they have to keep to.

type getInput struct {
	Pipeline string `aws:"Pipeline,required" pattern:"[a-z0-9][a-z0-9._-]{0,99}"`
	Key      string `aws:"Key,required" len:"1,1024"`
}

type getOutput struct {
	Row *row `aws:"Row"`
}

type listInput struct {
	Pipeline string `aws:"Pipeline,required" pattern:"[a-z0-9][a-z0-9._-]{0,99}"`
	Prefix   string `aws:"Prefix,required" len:"1,1024"`
	After    string `aws:"After" len:"0,1024"` // the last key of the page before
}

type listOutput struct {
	Rows []row `aws:"Rows,required"`
	More bool  `aws:"More,required"`
}

type pipelinesInput struct {
	After string `aws:"After" len:"0,100"` // the last name of the page before
}

type pipelinesOutput struct {
	Pipelines []string `aws:"Pipelines,required"`
	More      bool     `aws:"More,required"`
}

type row struct {
	Key     string `aws:"Key,required"`
	Value   []byte `aws:"Value,required"`
	Version int64  `aws:"Version,required"`
}

type commitInput struct {
	Pipeline string  `aws:"Pipeline,required" pattern:"[a-z0-9][a-z0-9._-]{0,99}"`
	Checks   []check `aws:"Checks" len:"0,100000"`
	Writes   []write `aws:"Writes" len:"0,100000"`
}

type check struct {
	Key     string `aws:"Key,required" len:"1,1024"`
	Version int64  `aws:"Version"` // 0: there is no such row
}

type write struct {
	Key    string `aws:"Key,required" len:"1,1024"`
	Value  []byte `aws:"Value"`
	Delete bool   `aws:"Delete"`
}

type commitOutput struct {
	Version int64 `aws:"Version,required"`
}
