"""Usage: access_log.py FILE BUCKET PREFIX: the archived access log, column by column, against Python's own parse."""

import datetime
import hashlib
import re
import sys

import lake

path, name, prefix = sys.argv[1:]

QUOTED = r'"((?:[^"\\]|\\.)*)(?:"|$)'  # the end of the line may cut the last one
LINE = re.compile(rf"^(\S+) (\S+) (.+?) \[([^\]]+)\] {QUOTED} (\d+|-) (\d+|-) {QUOTED} {QUOTED}$")
REQUEST = re.compile(r"^([A-Z]+) (.+) (HTTP/[0-9.]+)$")


def unescape(match):
    """What the escapes of a server's log stand for; bytes that are no printable text stay as they were written."""
    if match[1]:
        return match[1]
    raw = bytes.fromhex(match[2].replace("\\x", ""))
    try:
        decoded = raw.decode()
    except UnicodeDecodeError:
        return match[0]
    return decoded if decoded.isprintable() else match[0]


def text(value):
    return None if value == "-" else re.sub(r'\\(["\\])|((?:\\x[0-9a-f]{2})+)', unescape, value)


def number(value):
    return None if value == "-" else int(value)


def expected(line):
    """The row that the pipeline should make of a line; None where its filter drops it."""
    ip, ident, user, at, request, status, size, referrer, agent = LINE.match(line).groups()
    if number(status) == 304:
        return None
    at = datetime.datetime.strptime(at, "%d/%b/%Y:%H:%M:%S %z").astimezone(datetime.timezone.utc)
    row = {
        "client_ip": hashlib.sha256(ip.encode()).hexdigest(), "ident": text(ident), "user": text(user), "time": str(at),
        "status": number(status), "bytes": number(size), "referrer": text(referrer), "user_agent": text(agent),
        "hour": str(at.replace(minute=0, second=0)), "kib": None if size == "-" else int(size) // 1024,
    }
    if split := REQUEST.match(request):
        row |= dict(zip(("method", "path", "protocol"), map(text, split.groups())))
    else:
        row["request"] = text(request)
    return lake.canonical(f"{prefix}dt={at:%Y-%m-%d}", row)


with open(path, encoding="utf-8") as lines:
    want = [row for line in lines if (row := expected(line.rstrip("\n"))) is not None]
lake.compare(want, (lake.canonical(folder, row) for folder, row in lake.rows(name, prefix)))
