// Package dynamodb is the sink that keeps items of a table of DynamoDB.
//
// The one idea: a table has no transaction that a plan fits in, so every write carries what makes it harmless when it comes
// twice, late or from a worker that was given up. An item has beside its columns the sequence number of the record that it was
// last written from, and a write is conditional on that being no later one; deletes leave a tombstone that has it too. What a
// counter is to grow by is summed up for each key and shard of a flush and added once, if the number shows that it was not
// yet. Rows that are only added are named after their records. Which plans were carried out stands in a table of its own.
package dynamodb
