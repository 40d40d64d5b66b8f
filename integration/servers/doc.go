// Package servers starts the real servers that the integration tests and a developer need, natively, on loopback.
//
// Each is built or fetched once, at a pinned version, into a cache outside the repository: PENSTOCK_SERVERS_DIR, or else
// the user's cache folder. Tests that need one are skipped unless REQUIRE_INTEGRATION=1.
package servers
