"""Drives an HTTP/1.1 server with 1,000 connections until it has ended, and checks every response.

    load.py PORT

Prints "under load" when that many have been made and used. In the end it prints one line for each
connection that was not served to its end, with its local port, and then the totals. What counts is
what a client can rely on: a response that has begun is complete, and a connection that was made gets
a response to its first request, or to its next one unless the response before said that it was the
last. The server ends when it is sent SIGTERM, so connects are refused at some time: then a client is
done.
"""

import asyncio
import hashlib
import random
import resource
import sys

CLIENTS = 1000
HOST, PORT = "127.0.0.1", int(sys.argv[1])


class Totals:
    responses = 0
    connects = 0
    refused = 0
    failures = []


async def respond(reader):
    """Reads one response. Returns whether it was announced as the last."""
    head = await reader.readuntil(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    assert status == "HTTP/1.1 200 OK", status
    fields = dict(line.lower().split(": ", 1) for line in lines if line)
    body = await reader.readexactly(int(fields["content-length"]))
    assert hashlib.sha256(body).hexdigest() == fields["etag"], "the body is not what was sent"
    Totals.responses += 1
    return fields.get("connection") == "close"


async def connection(kind):
    """Makes a connection and uses it until the server ends it. False if none can be made."""
    try:
        reader, writer = await asyncio.open_connection(HOST, PORT)
    except (ConnectionRefusedError, ConnectionResetError):
        Totals.refused += 1
        return False
    except OSError as error:
        sys.exit(f"connect: {error}")
    Totals.connects += 1
    port = writer.get_extra_info("sockname")[1]
    answered = 0
    try:
        while True:
            if kind == "thinking" or (kind == "hesitant" and answered == 0):
                await asyncio.sleep(random.random() * 0.05)
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            if await respond(reader) or kind in ("brief", "hesitant"):
                break
            answered += 1
    except (asyncio.IncompleteReadError, OSError) as error:
        got = len(getattr(error, "partial", b""))
        Totals.failures.append(f"failed port={port} answered={answered} bytes={got} {error!r}")
    finally:
        writer.transport.abort() if kind == "brief" else writer.close()
    return True


async def client(kind):
    while await connection(kind):
        pass


async def main():
    kinds = ["busy", "thinking", "hesitant", "brief"]
    clients = [asyncio.create_task(client(kinds[n % 4])) for n in range(CLIENTS)]

    async def announce():
        while Totals.responses < 3 * CLIENTS or Totals.connects < CLIENTS:
            await asyncio.sleep(0.01)
        print("under load", flush=True)

    announcing = asyncio.create_task(announce())
    await asyncio.gather(*clients)
    await announcing
    for line in Totals.failures:
        print(line)
    print(
        f"{Totals.connects} connections, {Totals.responses} responses, "
        f"{Totals.refused} refused, {len(Totals.failures)} failed",
        flush=True,
    )


_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
asyncio.run(main())
