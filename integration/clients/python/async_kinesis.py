"""
A reader and a producer of the package async-kinesis, which is neither AWS's nor made from its model.

Called as async_kinesis.py ENDPOINT STREAM FILE it appends the text of each record that it reads to a file, a line each, until
its standard input ends. With a further argument, N, it first puts the numbers up to N.
"""

import asyncio
import os
import sys

from kinesis import Consumer, Producer, StringProcessor


async def put(options, n):
    async with Producer(**options, buffer_time=0.1) as producer:
        for i in range(n):
            await producer.put(str(i))


async def read(options, file):
    over = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    out = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    async with Consumer(**options, sleep_time_no_records=0.2, idle_timeout=0.5, shard_fetch_rate=5) as consumer:
        while not over.done():
            async for text in consumer:
                os.write(out, (text + "\n").encode())


async def main(endpoint, stream, file, n="0"):
    os.environ.update(AWS_ACCESS_KEY_ID="key", AWS_SECRET_ACCESS_KEY="secret")
    options = dict(stream_name=stream, endpoint_url=endpoint, region_name="us-east-1", processor=StringProcessor())
    await put(options, int(n))
    await read(options, file)


asyncio.run(main(*sys.argv[1:]))
