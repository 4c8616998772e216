"""Two clients of the chat. Argument: the address, to which a name is added."""

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


async def expect(socket, line):
    got = await asyncio.wait_for(socket.recv(), LIMIT)
    assert got == line, (got, line)


async def main():
    url = sys.argv[1]
    async with connect(f"{url}/alice") as alice:
        await expect(alice, "alice has joined")
        async with connect(f"{url}/bob") as bob:
            await expect(alice, "bob has joined")
            await expect(bob, "bob has joined")
            await bob.send("hello")
            await expect(alice, "bob: hello")
            await expect(bob, "bob: hello")
        await expect(alice, "bob has left")
        # A line that is too long ends the connection.
        try:
            await alice.send("x" * 5000)
            while True:
                await asyncio.wait_for(alice.recv(), LIMIT)
        except websockets.ConnectionClosed:
            assert alice.close_code == 1009, alice.close_code


asyncio.run(main())
