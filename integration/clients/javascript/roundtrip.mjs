// A client of the SDK for JavaScript: see doc.go for what it is asked to do and what it tells. The first argument is the
// folder that has the SDK.
import assert from "node:assert";
import { createWriteStream, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { finished } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";

const [folder, endpoint, stream, corpus, told, old] = process.argv.slice(2);
const kinesis = createRequire(folder + "/")("@aws-sdk/client-kinesis");
const client = new kinesis.Kinesis({
  endpoint, region: "us-east-1", credentials: { accessKeyId: "key", secretAccessKey: "secret" }, maxAttempts: 1,
});
assert.equal(client.config.requestHandler.metadata.handlerProtocol, "h2");

const out = createWriteStream(told);
const tell = (...fields) => out.write(fields.join("\t") + "\n");
const base64 = (b) => Buffer.from(b).toString("base64");

// read reads from an iterator to the tip.
async function read(section, ShardId, where) {
  let it = where.it ?? (await client.getShardIterator({ StreamName: stream, ShardId, ...where })).ShardIterator;
  const records = [];
  for (;;) {
    const page = await client.getRecords({ ShardIterator: it, Limit: 1000 });
    records.push(...page.Records);
    if (page.Records.length === 0 && page.MillisBehindLatest === 0) break;
    it = page.NextShardIterator;
  }
  for (const r of records) {
    tell(section, ShardId, r.SequenceNumber, base64(r.PartitionKey), base64(r.Data), r.ApproximateArrivalTimestamp.getTime());
  }
  return records;
}

// put puts the first one by itself and the others in calls that PutRecords takes, a few at a time on one connection.
async function put(entries, first) {
  const a = await client.putRecord({ StreamName: stream, ...entries[0] });
  tell("put", first, a.ShardId, a.SequenceNumber);
  for (let at = 1; at < entries.length; ) {
    let end = at;
    for (let size = 0; end < entries.length && end - at < 100 && size < 4 << 20; end++) size += entries[end].Data.length;
    const r = await client.putRecords({ StreamName: stream, Records: entries.slice(at, end) });
    assert.equal(r.FailedRecordCount, 0);
    r.Records.forEach((a, i) => tell("put", first + at + i, a.ShardId, a.SequenceNumber));
    at = end;
  }
}

// raises checks that the exception is of the class that the SDK has for it.
async function raises(name, call) {
  await assert.rejects(call, (e) => {
    assert(e instanceof kinesis[name] && e instanceof kinesis.KinesisServiceException, `${name} is not the class of ${e.stack}`);
    assert(e.$metadata.requestId, "no request id");
    tell("error", name, e.$metadata.httpStatusCode, e.message);
    return true;
  });
}

await client.createStream({ StreamName: stream, ShardCount: 4 });
await kinesis.waitUntilStreamExists({ client, maxWaitTime: 60, minDelay: 1, maxDelay: 1 }, { StreamName: stream });
for (let i = 0; i < 3; i++) await client.createStream({ StreamName: `${stream}-${i}`, ShardCount: 1 });
const names = [];
for (let token; ; ) {
  const page = await client.listStreams({ Limit: 1, NextToken: token });
  names.push(...page.StreamNames);
  if (!(token = page.NextToken)) break;
}
assert.deepEqual(names, [stream, ...[0, 1, 2].map((i) => `${stream}-${i}`)]);
const summary = (await client.describeStreamSummary({ StreamName: stream })).StreamDescriptionSummary;
assert.deepEqual([summary.StreamStatus, summary.OpenShardCount], ["ACTIVE", 4]);
assert(Math.abs(Date.now() - summary.StreamCreationTimestamp) < 600_000);
const page = await client.listShards({ StreamName: stream, MaxResults: 3 });
const listed = [...page.Shards, ...(await client.listShards({ NextToken: page.NextToken })).Shards];
assert.deepEqual(listed, (await client.describeStream({ StreamName: stream })).StreamDescription.Shards);
const shards = listed.map((s) => s.ShardId);
const starts = {};
for (const ShardId of shards) {
  starts[ShardId] = (await client.getShardIterator({ StreamName: stream, ShardId, ShardIteratorType: "LATEST" })).ShardIterator;
}

const entries = readFileSync(corpus, "ascii").trimEnd().split("\n").map((line) => {
  const [key, data, hash] = line.split("\t");
  return { PartitionKey: Buffer.from(key, "base64").toString(), Data: Buffer.from(data, "base64"), ExplicitHashKey: hash || undefined };
});
const half = Math.floor(entries.length / 2);
await put(entries.slice(0, half), 0);
await sleep(10);
await put(entries.slice(half), half);

// All shards at once: their answers share a connection.
await Promise.all(shards.map(async (shard) => {
  const all = await read("trim", shard, { ShardIteratorType: "TRIM_HORIZON" });
  const middle = all[Math.floor(all.length / 2)];
  const at = middle.ApproximateArrivalTimestamp;
  tell("asked", shard, at.getTime());
  await Promise.all([
    read("latest", shard, { it: starts[shard] }),
    read("at-sequence", shard, { ShardIteratorType: "AT_SEQUENCE_NUMBER", StartingSequenceNumber: middle.SequenceNumber }),
    read("after-sequence", shard, { ShardIteratorType: "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber: middle.SequenceNumber }),
    read("at-timestamp", shard, { ShardIteratorType: "AT_TIMESTAMP", Timestamp: at }),
  ]);
}));

await raises("ResourceInUseException", () => client.createStream({ StreamName: stream, ShardCount: 1 }));
await raises("ResourceNotFoundException", () => client.describeStream({ StreamName: "none" }));
await raises("InvalidArgumentException", () => client.getRecords({ ShardIterator: "AAAA" }));
await raises("LimitExceededException", () => client.createStream({ StreamName: "large", ShardCount: 1_000_000 }));
await raises("ValidationException", () => client.createStream({ StreamName: "no name", ShardCount: 1 }));
if (old === "old") {
  // Five minutes is how long both can be used.
  await sleep(301_000);
  await raises("ExpiredIteratorException", () => client.getRecords({ ShardIterator: starts[shards[0]] }));
  await raises("ExpiredNextTokenException", () => client.listShards({ NextToken: page.NextToken }));
}

for (const StreamName of names.slice(1)) {
  await client.deleteStream({ StreamName });
  await kinesis.waitUntilStreamNotExists({ client, maxWaitTime: 60, minDelay: 1, maxDelay: 1 }, { StreamName });
}
assert.deepEqual((await client.listStreams({})).StreamNames, [stream]);
out.end();
await finished(out);
client.destroy();
console.log("SDK for JavaScript put and read", entries.length, "records over", client.config.requestHandler.metadata.handlerProtocol);
