"""A client of boto3: see doc.go for what it is asked to do and what it tells."""
import base64
import sys
import time
from datetime import datetime, timezone

import boto3
from botocore.config import Config

endpoint, stream, corpus, told, old = sys.argv[1:6]
client = boto3.client(
    "kinesis", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret",
    config=Config(retries={"total_max_attempts": 1}))
out = open(told, "w", encoding="ascii")


def tell(*fields):
    print(*fields, sep="\t", file=out)


def tell_record(section, shard, record):
    b64 = lambda b: base64.b64encode(b).decode()
    millis = round(record["ApproximateArrivalTimestamp"].timestamp() * 1000)
    tell(section, shard, record["SequenceNumber"], b64(record["PartitionKey"].encode()), b64(record["Data"]), millis)


def read(section, shard, **where):
    """Reads from where an iterator begins to the tip."""
    it = where.get("it") or client.get_shard_iterator(StreamName=stream, ShardId=shard, **where)["ShardIterator"]
    records = []
    while True:
        page = client.get_records(ShardIterator=it, Limit=1000)
        records += page["Records"]
        if not page["Records"] and page["MillisBehindLatest"] == 0:
            break
        it = page["NextShardIterator"]
    for r in records:
        tell_record(section, shard, r)
    return records


def entry(line):
    key, data, hash_key = line.rstrip("\n").split("\t")
    e = {"PartitionKey": base64.b64decode(key).decode(), "Data": base64.b64decode(data)}
    if hash_key:
        e["ExplicitHashKey"] = hash_key
    return e


def put(entries, first):
    """Puts the first one by itself and the others in calls that PutRecords takes."""
    r = client.put_record(StreamName=stream, **entries[0])
    tell("put", first, r["ShardId"], r["SequenceNumber"])
    at = 1
    while at < len(entries):
        end, size = at, 0
        while end < len(entries) and end - at < 100 and size < 4 << 20:
            size += len(entries[end]["Data"])
            end += 1
        r = client.put_records(StreamName=stream, Records=entries[at:end])
        assert r["FailedRecordCount"] == 0, r
        for i, a in enumerate(r["Records"]):
            tell("put", first + at + i, a["ShardId"], a["SequenceNumber"])
        at = end


def raises(name, call, **args):
    """The exception is of the class that the SDK has for it."""
    try:
        call(**args)
    except getattr(client.exceptions, name) as e:
        assert e.response["ResponseMetadata"]["RequestId"], e.response
        tell("error", name, e.response["ResponseMetadata"]["HTTPStatusCode"], e.response["Error"]["Message"])
        return
    raise AssertionError(f"{name} was not raised")


client.create_stream(StreamName=stream, ShardCount=4)
client.get_waiter("stream_exists").wait(StreamName=stream, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
for i in range(3):
    client.create_stream(StreamName=f"{stream}-{i}", ShardCount=1)
names = [n for page in client.get_paginator("list_streams").paginate(PaginationConfig={"PageSize": 1}) for n in page["StreamNames"]]
assert names == sorted([stream] + [f"{stream}-{i}" for i in range(3)]), names
summary = client.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
assert (summary["StreamStatus"], summary["OpenShardCount"]) == ("ACTIVE", 4), summary
assert abs((datetime.now(timezone.utc) - summary["StreamCreationTimestamp"]).total_seconds()) < 600, summary
described = [s for page in client.get_paginator("describe_stream").paginate(StreamName=stream, PaginationConfig={"PageSize": 1}) for s in page["StreamDescription"]["Shards"]]
listed, page = [], client.list_shards(StreamName=stream, MaxResults=3)
token = page["NextToken"]
listed += page["Shards"] + client.list_shards(NextToken=token)["Shards"]
assert listed == described and len(listed) == 4, (listed, described)
shards = [s["ShardId"] for s in listed]
starts = {s: client.get_shard_iterator(StreamName=stream, ShardId=s, ShardIteratorType="LATEST")["ShardIterator"] for s in shards}

entries = [entry(line) for line in open(corpus, encoding="ascii")]
half = len(entries) // 2
put(entries[:half], 0)
time.sleep(1.1)  # boto3 sends whole seconds
put(entries[half:], half)

for shard in shards:
    everything = read("trim", shard, ShardIteratorType="TRIM_HORIZON")
    read("latest", shard, it=starts[shard])
    middle = everything[len(everything) // 2]
    read("at-sequence", shard, ShardIteratorType="AT_SEQUENCE_NUMBER", StartingSequenceNumber=middle["SequenceNumber"])
    read("after-sequence", shard, ShardIteratorType="AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=middle["SequenceNumber"])
    at = everything[-1]["ApproximateArrivalTimestamp"].replace(microsecond=0)
    tell("asked", shard, round(at.timestamp() * 1000))
    read("at-timestamp", shard, ShardIteratorType="AT_TIMESTAMP", Timestamp=at)

raises("ResourceInUseException", client.create_stream, StreamName=stream, ShardCount=1)
raises("ResourceNotFoundException", client.describe_stream, StreamName="none")
raises("InvalidArgumentException", client.get_records, ShardIterator="AAAA")
raises("LimitExceededException", client.create_stream, StreamName="large", ShardCount=1_000_000)
raises("ValidationException", client.create_stream, StreamName="no name", ShardCount=1)
if old == "old":  # five minutes is how long both can be used
    time.sleep(301)
    raises("ExpiredIteratorException", client.get_records, ShardIterator=starts[shards[0]])
    raises("ExpiredNextTokenException", client.list_shards, NextToken=token)

for name in names[1:]:
    client.delete_stream(StreamName=name)
    client.get_waiter("stream_not_exists").wait(StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
assert client.list_streams()["StreamNames"] == [stream]
out.close()
print("boto3", boto3.__version__, "put and read", len(entries), "records")
