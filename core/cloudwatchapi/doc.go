// Package cloudwatchapi takes what clients of Kinesis send to CloudWatch beside their work, so that the KCL and the KPL
// run against one endpoint without errors.
//
// It has one operation, PutMetricData, in the three protocols that SDKs speak it in: query, JSON 1.0 and Smithy RPC v2
// CBOR. What is sent is checked and counted, and then dropped: nothing is kept, and nothing can be asked for.
package cloudwatchapi
