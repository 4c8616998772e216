"""Two clients of the chat. Argument: the address, to which a name is added."""

import asyncio
import sys

import websockets


async def expect(socket, line):
    got = await asyncio.wait_for(socket.recv(), 30)
    assert got == line, (got, line)


async def main():
    url = sys.argv[1]
    async with websockets.connect(f"{url}/alice") as alice:
        await expect(alice, "alice has joined")
        async with websockets.connect(f"{url}/bob") as bob:
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
                await asyncio.wait_for(alice.recv(), 30)
        except websockets.ConnectionClosed:
            assert alice.close_code == 1009, alice.close_code


asyncio.run(main())
