"""Drives an echo server with the library `websockets`. Arguments: the test, and the address."""

import asyncio
import functools
import os
import sys

import websockets

# How long anything may take. The library's own limits are as short as ten seconds.
LIMIT = 60 * int(os.environ.get("ANNULUS_PATIENCE", "1"))
connect = functools.partial(
    websockets.connect, open_timeout=LIMIT, close_timeout=LIMIT, ping_interval=None
)


async def sizes(url):
    """Messages of every kind of length come back equal, as text and as bytes."""
    async with connect(url, max_size=None, compression=None) as socket:
        for size in [0, 1, 125, 126, 65535, 65536, 1 << 20, 5 << 20]:
            data = os.urandom(size)
            await socket.send(data)
            assert await socket.recv() == data, size
            text = "é" * (size // 2)
            await socket.send(text)
            assert await socket.recv() == text, size


async def fragments(url):
    """A message in several frames is one, and a ping between them is answered."""
    async with connect(url, compression=None) as socket:
        async def parts():
            for part in ["one ", "two ", "three"]:
                yield part
                await asyncio.wait_for(await socket.ping(), LIMIT)

        await socket.send(parts())
        assert await socket.recv() == "one two three"


async def ping(url):
    async with connect(url) as socket:
        for _ in range(100):
            await asyncio.wait_for(await socket.ping(), LIMIT)


async def crowd(url):
    """Fifty clients at a time, each with messages of its own."""
    async def client(number):
        async with connect(url) as socket:
            for message in range(20):
                text = f"{number} {message}"
                await socket.send(text)
                assert await socket.recv() == text

    await asyncio.gather(*(client(number) for number in range(50)))


async def pipelined(url):
    """A client that sends much before it reads is answered in order."""
    async with connect(url, compression=None) as socket:
        messages = [os.urandom(4096) for _ in range(500)]

        async def send():
            for message in messages:
                await socket.send(message)

        sending = asyncio.create_task(send())
        for message in messages:
            assert await socket.recv() == message
        await sending


async def close(url):
    """The handshake at the end: the client's code comes back."""
    socket = await connect(url)
    await socket.close(4000, "enough")
    assert socket.protocol.close_rcvd.code == 4000, socket.protocol.close_rcvd


async def codes(url, *expected):
    """After a message of so many bytes the server ends the connection with this code."""
    for path, length, code in zip(expected[::3], expected[1::3], expected[2::3]):
        async with connect(url + path, compression=None) as socket:
            await socket.send("x" * int(length))
            try:
                while True:
                    await asyncio.wait_for(socket.recv(), LIMIT)
            except websockets.ConnectionClosed:
                assert socket.close_code == int(code), (path, length, socket.close_code)


async def protocol(url):
    async with connect(url, subprotocols=["soap", "second", "first"]) as socket:
        assert socket.subprotocol == "first", socket.subprotocol


async def wait_for_close(url):
    """Says that it is connected, and prints the code with which the server ends."""
    async with connect(url) as socket:
        await socket.send("here")
        await socket.recv()
        print("connected", flush=True)
        try:
            await asyncio.wait_for(socket.recv(), LIMIT)
        except websockets.ConnectionClosed:
            print(socket.close_code, flush=True)


async def main():
    what, url = sys.argv[1:3]
    rest = sys.argv[3:]
    if what == "all":
        for test in (sizes, fragments, ping, crowd, pipelined, close):
            await test(url)
    else:
        await globals()[what](url, *rest)


asyncio.run(main())
