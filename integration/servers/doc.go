// Package servers starts the real servers that the integration tests and a developer need, natively, on loopback, and
// fetches the packages of other languages that they need.
//
// Each is built or fetched once, at a pinned version, into a cache outside the repository: PENSTOCK_SERVERS_DIR, or else
// the user's cache folder. Tests that need one are skipped unless REQUIRE_INTEGRATION=1.
package servers
