package dynamodb_test

import (
	"fmt"
	"strings"
	"testing"

	aws_dynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/sinktest"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/awsclient"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/integration/tabletest"
	"github.com/penstock/penstock/sinks/dynamodb"
)

// at is how a server is reached.
func at(endpoint string) dynamodb.Config {
	return dynamodb.Config{Endpoint: endpoint, Identity: awsclient.Identity{AccessKey: "key", SecretKey: core.NewSecret("secret")}}
}

// items are those of a table.
func items(t *testing.T, c *aws_dynamodb.Client, table string) []string {
	t.Helper()
	out, err := tabletest.Items(t.Context(), c, table)
	require.NoError(t, err)
	return out
}

func TestTheSinkKeepsItsContract(t *testing.T) {
	moto, dynalite, n := servers.DynamoDBFor(t), servers.DynaliteFor(t), 0
	for _, mode := range []string{"put", "update", "append", "update in dynalite"} {
		server := moto
		mode, other := strings.CutSuffix(mode, " in dynalite")
		if other {
			server = dynalite
		}
		t.Run(fmt.Sprint(mode, " ", other), func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Target {
				n++
				cfg := at(server.Endpoint)
				cfg.Table, cfg.Ledger, cfg.Mode, cfg.Create = fmt.Sprint("suite", n), fmt.Sprint("ledger", n), mode, "on_demand"
				cfg.Key.Partition = "id"
				if mode == "append" {
					cfg.Key.Partition = "_id"
				}
				return sinktest.Target{
					Open: func(t *testing.T) connectors.Sink {
						s, err := dynamodb.Open(t.Context(), cfg)
						require.NoError(t, err)
						return s
					},
					Rows: func(t *testing.T) []string { return items(t, tabletest.Client(server.Endpoint), cfg.Table) },
					Refuses: func(line string) bool {
						if strings.Contains(line, "e+300") || strings.Contains(line, "e-324") {
							return true
						}
						return mode != "append" && (!strings.Contains(line, `"id":"`) || strings.Contains(line, `"id":""`))
					},
				}
			})
		})
	}
}
