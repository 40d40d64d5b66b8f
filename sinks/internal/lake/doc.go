// Package lake lays rows out as files of a lake: partitions by time and by columns, names that derive from the plan, one
// manifest a plan, and the proof that they are complete. Where the files are kept is a Store.
//
// The one idea: a plan writes one file a partition, under a name that no other plan has, and its manifest last. So a
// plan that is carried out twice replaces its own files, and what no manifest names is not part of the lake.
package lake
