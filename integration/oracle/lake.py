"""Reads the Parquet objects of a lake in a bucket, by pyarrow alone, and compares rows as multisets."""

import collections
import json
import os

import pyarrow.fs
import pyarrow.parquet


def bucket():
    return pyarrow.fs.S3FileSystem(
        access_key=os.environ["S3_ACCESS_KEY"], secret_key=os.environ["S3_SECRET"],
        endpoint_override=os.environ["S3_ENDPOINT"].removeprefix("http://"), scheme="http", region="us-east-1",
    )


def rows(name, prefix):
    """Yields (folder, row) for every row below a prefix of a bucket."""
    fs = bucket()
    for info in fs.get_file_info(pyarrow.fs.FileSelector(f"{name}/{prefix}", recursive=True)):
        if info.path.endswith(".parquet"):
            folder = info.path.removeprefix(f"{name}/").rsplit("/", 1)[0]
            for row in pyarrow.parquet.read_table(info.path, filesystem=fs, partitioning=None).to_pylist():
                yield folder, row


def without_nulls(value):
    """A value without nulls; 1.0 is 1, as a column of both kinds of numbers holds it."""
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [without_nulls(v) for v in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def canonical(folder, row):
    return folder + " " + json.dumps(without_nulls(row), sort_keys=True, default=str)


def compare(expected, got):
    """Compares iterables of canonical rows, prints the one closing line, and exits 1 where they differ."""
    want, have = collections.Counter(expected), collections.Counter(got)
    missing, extra = want - have, have - want
    for what, some in (("missing", missing), ("extra", extra)):
        for row in list(some)[:3]:
            print(f"{what}: {row[:500]}")
    print(f"rows_expected={want.total()} rows_got={have.total()} missing={missing.total()} extra={extra.total()}")
    raise SystemExit(bool(missing or extra))

