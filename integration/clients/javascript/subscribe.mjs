// A subscriber of the SDK for JavaScript: see doc.go for what it is asked to do and what it tells. The first argument is the
// folder that has the SDK.
import assert from "node:assert";
import { appendFileSync } from "node:fs";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";

const [folder, endpoint, ConsumerARN, shards, told, old] = process.argv.slice(2);
const kinesis = createRequire(folder + "/")("@aws-sdk/client-kinesis");
const client = new kinesis.Kinesis({
  endpoint, region: "us-east-1", credentials: { accessKeyId: "key", secretAccessKey: "secret" }, maxAttempts: 1,
});
assert.equal(client.config.requestHandler.metadata.handlerProtocol, "h2");
const tell = (...fields) => appendFileSync(told, fields.join("\t") + "\n");
const base64 = (b) => Buffer.from(b).toString("base64");

// subscribe subscribes as soon as the subscription before has ended.
async function subscribe(ShardId, StartingPosition, abortSignal) {
  for (;;) {
    try {
      return (await client.subscribeToShard({ ConsumerARN, ShardId, StartingPosition }, { abortSignal })).EventStream;
    } catch (e) {
      if (!(e instanceof kinesis.ResourceInUseException)) throw e;
      await sleep(1000);
    }
  }
}

// read reads a shard to its end.
async function read(shard) {
  let from = { Type: "TRIM_HORIZON" };
  for (let first = true; ; first = false) {
    const began = Date.now(), stop = new AbortController();
    let records = 0, children = [];
    for await (const { SubscribeToShardEvent: e } of await subscribe(shard, from, stop.signal)) {
      for (const r of e.Records) {
        tell("record", shard, r.SequenceNumber, base64(r.PartitionKey), base64(r.Data), r.ApproximateArrivalTimestamp.getTime());
      }
      records += e.Records.length;
      children = e.ChildShards ?? [];
      if (e.ContinuationSequenceNumber) from = { Type: "AFTER_SEQUENCE_NUMBER", SequenceNumber: e.ContinuationSequenceNumber };
      if (first && old !== "old") break;
    }
    stop.abort(); // to leave the loop does not end the subscription
    tell("subscription", shard, records, Date.now() - began);
    for (const c of children) tell("child", shard, c.ShardId, c.ParentShards.join(","), c.HashKeyRange.StartingHashKey, c.HashKeyRange.EndingHashKey);
    if (children.length > 0) return;
  }
}

await Promise.all(shards.split(",").map(read)); // they share a connection
client.destroy();
