// Package metrics counts what a node and its pipelines do, for Prometheus to fetch.
//
// Everything hangs from the events of the workers, the streams and the log, so nothing that is counted knows of it. Where
// CloudWatch has a figure for Kinesis Data Streams or Firehose, the name here is recognisably that one's and the help text
// says which: IncomingRecords is penstock_incoming_records_total.
package metrics
