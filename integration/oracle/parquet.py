"""parquet.py FILE LINES: FILE, read by pyarrow and by DuckDB, holds the rows of LINES, in order, value for value."""
import base64, datetime, json, math, struct, sys

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

path, lines = sys.argv[1:]


def plain(value):
    """value as the lines have it: no null fields, bytes in base64, what JSON has no numbers for as text."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value


def nanos(text):
    """Nanoseconds since 1970 of a time in RFC 3339, in UTC."""
    whole, _, part = text.rstrip("Z").partition(".")
    at = datetime.datetime.fromisoformat(whole + "+00:00")
    return int((at - datetime.datetime.fromtimestamp(0, datetime.timezone.utc)).total_seconds()) * 10**9 + int((part + "0" * 9)[:9])


def columns(table, unit):
    """The columns of a table as lists of plain values; times in nanoseconds, cut to the unit."""
    out = {}
    for name, column in zip(table.column_names, table.columns):
        kind = column.type
        if pa.types.is_timestamp(kind):
            scale = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[kind.unit]
            values = [None if v is None else v * scale // unit * unit for v in column.cast(pa.int64()).to_pylist()]
        else:
            values = [plain(v) for v in column.to_pylist()]
        out[name] = (kind, values)
    return out


def check(reader, table, unit):
    got = columns(table, unit)
    rows = [json.loads(line) for line in open(lines)]
    for name, (kind, values) in got.items():
        if len(values) != len(rows):
            sys.exit(f"{reader}: {len(values)} rows, want {len(rows)}")
        for i, row in enumerate(rows):
            want = row.get(name)
            if pa.types.is_timestamp(kind) and want is not None:
                want = nanos(want) // unit * unit
            if pa.types.is_float32(kind) and isinstance(want, (int, float)):
                want = struct.unpack("f", struct.pack("f", want))[0]
            if values[i] != want:
                sys.exit(f"{reader}: row {i} of {name} is {values[i]!r}, want {want!r}")
    print(f"{reader}: rows={len(rows)} columns={len(got)} equal")
    return rows


check("pyarrow " + pa.__version__, pq.read_table(path), 1)
rows = check("duckdb " + duckdb.__version__, duckdb.sql(f"from '{path}'").to_arrow_table(), 1000)
# Statistics that lie show where a reader trusts them.
for name in pq.read_schema(path).names:
    got = duckdb.sql(f"""select count(*) from '{path}' where "{name}" is null""").fetchall()[0][0]
    want = sum(row.get(name) is None for row in rows)
    if got != want:
        sys.exit(f"duckdb: {name} has {got} nulls, want {want}")
print(f"duckdb: nulls of {len(pq.read_schema(path).names)} columns by their statistics equal")
