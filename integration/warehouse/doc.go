// Package warehouse has the crash campaign of the sink that loads tables: workers, the server of the log, PostgreSQL and its
// pooler are killed, and connections cut, at every moment of a flush, and the tables are held against folds of what was put.
package warehouse
