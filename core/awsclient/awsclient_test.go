package awsclient_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/awsclient"
	"github.com/penstock/penstock/integration/servers"
)

func TestWhatIsWrongWithAnIdentityIsSaid(t *testing.T) {
	both := awsclient.Identity{AccessKey: "a", SecretKey: core.NewSecret("b")}
	with := func(change func(*awsclient.Identity)) awsclient.Identity {
		i := both
		change(&i)
		return i
	}
	for want, i := range map[string]awsclient.Identity{
		"give both, or neither":         {AccessKey: "a"},
		"belongs to an access_key":      {SessionToken: core.NewSecret("t")},
		"one of access_key and profile": with(func(i *awsclient.Identity) { i.Profile = "p" }),
		"want the ARN of a role":        with(func(i *awsclient.Identity) { i.AssumeRole = "admin" }),
		"belongs to an assume_role":     with(func(i *awsclient.Identity) { i.ExternalID = "x" }),
	} {
		require.ErrorContains(t, i.Validate(), want)
	}
	require.NoError(t, both.Validate())
	require.NoError(t, awsclient.Identity{AssumeRole: "arn:aws:iam::123456789012:role/loader", ExternalID: "x"}.Validate())
}

func TestTheRegionIsWhatIsSaidFirst(t *testing.T) {
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	for _, x := range []struct{ region, endpoint, want string }{
		{"eu-west-1", "", "eu-west-1"}, {"eu-west-1", "http://h", "eu-west-1"}, {"", "http://h", "us-east-1"}, {"", "", ""},
	} {
		found, err := awsclient.Identity{}.Load(t.Context(), x.region, x.endpoint)
		require.NoError(t, err)
		require.Equal(t, x.want, found.Region)
	}
}

func TestARoleIsAssumed(t *testing.T) {
	server := servers.DynamoDBFor(t) // it speaks to who assumes roles too
	t.Setenv("AWS_ENDPOINT_URL_STS", server.Endpoint)
	me := awsclient.Identity{AccessKey: "key", SecretKey: core.NewSecret("secret"), AssumeRole: "arn:aws:iam::123456789012:role/loader", ExternalID: "x"}
	found, err := me.Load(t.Context(), "eu-west-1", "")
	require.NoError(t, err)
	as, err := found.Credentials.Retrieve(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, "key", as.AccessKeyID)
	require.NotEmpty(t, as.SessionToken)
	require.True(t, as.CanExpire)
}
