"""duckdb.py JOB EVENTS OUT THREADS: one job of DuckDB; prints its figures as the bench has them."""
import json, os, resource, sys, time

import duckdb

job, events, out, threads = sys.argv[1:]
con = duckdb.connect(config={"threads": int(threads)})
con.execute("set enable_progress_bar = false")  # it goes to standard output
columns = """{event_id: 'VARCHAR', event_time: 'VARCHAR', event_type: 'VARCHAR', user_id: 'VARCHAR', session: 'BIGINT', url: 'VARCHAR',
    referrer: 'VARCHAR', status: 'BIGINT', bytes: 'BIGINT', seconds: 'DOUBLE',
    geo: 'STRUCT(country VARCHAR, city VARCHAR, lat DOUBLE)', agent: 'VARCHAR'}"""
source = f"read_json('{events}', format = 'newline_delimited', columns = {columns})"
query = {
    "scan": f"select bit_xor(hash(t)) from {source} t",
    "copy": f"copy (from {source}) to '{out}' (format parquet, compression zstd)",
    "copy level 1": f"copy (from {source}) to '{out}' (format parquet, compression zstd, compression_level 1)",
}[job]


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


used, began = cpu(), time.time()
con.execute(query).fetchall()
wall, used = time.time() - began, cpu() - used
size = 0
if os.path.exists(out):
    size = os.path.getsize(out)
    os.remove(out)
print(json.dumps({
    "bytes": os.path.getsize(events), "wall": wall, "cpu": used, "out": size,
    "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024),
}))
