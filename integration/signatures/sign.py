"""Signs random requests with botocore: sign.py SEED COUNT, one JSON document a line."""

import json
import random
import sys
from urllib.parse import quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ANYTHING = "abcXYZ0189-._~ /%+&=?#;:@!$'()*,[]\"<>\\^`{|}é漢😀"
VALUES = "abcXYZ0189-._~  /%+&=?#;:@!$'()*,[]\"<>\\^`{|}"
NAMES = "abcxyz0189-_."


def text(rng, letters, most):
    return "".join(rng.choice(letters) for _ in range(rng.randrange(most)))


def path(rng):
    """One without empty, '.' and '..' segments, escaped once as clients send it."""
    return "/" + "/".join("s" + quote(text(rng, ANYTHING, 8), safe="-._~") for _ in range(rng.randrange(4)))


def query(rng):
    names = {text(rng, ANYTHING, 6) + str(i) for i in range(rng.randrange(4))}
    return "&".join(quote(n, safe="-._~") + "=" + quote(text(rng, ANYTHING, 10), safe="-._~") for n in names)


def request(rng):
    url = "http://h%d.example:4567%s" % (rng.randrange(100), path(rng))
    q = query(rng)
    headers = {"X-Amz-Target": "Kinesis_20131202." + text(rng, NAMES, 12)}
    for _ in range(rng.randrange(5)):
        headers[rng.choice(["X-Amz-", "X-", "Amz-Sdk-"]) + "n" + text(rng, NAMES, 8)] = text(rng, VALUES, 30)
    if rng.randrange(2):
        headers["Content-Type"] = "application/x-amz-json-1.1"
    body = text(rng, ANYTHING, 200).encode()
    return AWSRequest(rng.choice(["POST", "GET", "PUT", "DELETE"]), url + ("?" + q if q else ""), headers, body)


def main():
    rng = random.Random(sys.argv[1])
    for _ in range(int(sys.argv[2])):
        r = request(rng)
        key = Credentials("PLAIN", "a-secret-of-the-tests") if rng.randrange(4) else Credentials("TOKEN", "a-secret-of-the-tests", "a-session-token")
        SigV4Auth(key, "kinesis", "us-east-1").add_auth(r)
        p = r.prepare()
        host, slash, target = p.url.removeprefix("http://").partition("/")
        headers = [[name, value if isinstance(value, str) else value.decode()] for name, value in p.headers.items()]
        print(json.dumps({"method": p.method, "target": slash + target, "headers": [["Host", host], *headers], "body": (p.body or b"").decode()}))


main()
