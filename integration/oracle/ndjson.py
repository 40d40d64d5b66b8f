"""Usage: ndjson.py FILE BUCKET PREFIX nginx|flights: every row of the lake against Python's own parse of the file."""

import datetime
import json
import sys

import lake

path, name, prefix, kind = sys.argv[1:]


def expected(row):
    if kind == "flights":
        hour = int(row["time"])
        return lake.canonical(f"{prefix}hour={hour}", row | {"hour": hour})
    at = datetime.datetime.fromtimestamp(row["timestamp"] / 1000, datetime.timezone.utc)
    return lake.canonical(f"{prefix}dt={at:%Y-%m-%d}", row | {"timestamp": str(at)})


def got(folder, row):
    row = lake.without_nulls(row)
    row |= json.loads(row.pop("_rescued", "{}"))
    return lake.canonical(folder, row)


with open(path, encoding="utf-8") as lines:
    want = [expected(json.loads(line)) for line in lines]
lake.compare(want, (got(folder, row) for folder, row in lake.rows(name, prefix)))
