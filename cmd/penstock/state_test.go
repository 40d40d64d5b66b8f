package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestStatesThatAreNone has URLs that cannot be the state's, and what is said of them.
func TestStatesThatAreNone(t *testing.T) {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		t.Setenv(name, "")
	}
	for _, name := range []string{"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"} {
		t.Setenv(name, "none")
	}
	for where, want := range map[string]string{
		"ftp://host":                             `"ftp" is none of http, https, postgres and dynamodb`,
		"dynamodb://":                            `"" is not the name of a table`,
		"dynamodb://t":                           `"t" is not the name of a table`,
		"dynamodb://table/more":                  `"table/more" is not the name of a table`,
		"dynamodb://user@table":                  `"table" is not the name of a table`,
		"dynamodb://table":                       `which region is the table in? Add ?region=..., or set AWS_REGION`,
		"dynamodb://table?zone=a":                `zone=a: want dynamodb://TABLE[?region=...&endpoint=...]`,
		"dynamodb://table?region=":               `region=: want`,
		"dynamodb://table?endpoint=host":         `endpoint: want a URL such as`,
		"dynamodb://table?endpoint=http://":      `endpoint: want a URL such as`,
		"dynamodb://table?region=a&region=b":     `region=a: want`,
		"http://host/path":                       `want a URL of scheme and host only`,
		"dynamodb://table?endpoint=dynamodb://h": `endpoint: want a URL such as`,
	} {
		c := stateConfig{url: where, failover: time.Second}
		_, _, err := c.open(t.Context(), nil)
		require.ErrorContains(t, err, want, where)
	}
}

// TestATableThatMayNotBeUsed has no credentials, and then some that the server does not take.
func TestATableThatMayNotBeUsed(t *testing.T) {
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"not for you"}`)) // the client sees it
	}))
	t.Cleanup(refuses.Close)
	for _, name := range []string{"AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"} {
		t.Setenv(name, "")
	}
	for _, name := range []string{"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"} {
		t.Setenv(name, "none")
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	open := func() error {
		c := stateConfig{url: "dynamodb://table?endpoint=" + refuses.URL, failover: time.Second}
		st, _, err := c.open(t.Context(), nil)
		require.NoError(t, err)
		require.True(t, st.EachLease)
		_, err = st.Store(t.Context(), "p")
		return err
	}
	require.ErrorContains(t, open(), "no credentials: give the AWS SDK some")
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	err := open()
	require.ErrorContains(t, err, "not for you")
	require.ErrorContains(t, err, "allow dynamodb:DescribeTable")
}
