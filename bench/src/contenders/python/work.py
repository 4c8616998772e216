"""Does a workload: python3 -c THIS MODULE WORKLOAD OPERATIONS. Says what was measured, as JSON."""

import asyncio
import functools
import importlib
import json
import queue
import sys
import threading
import time

GATHERED = 1000
TASKS = 64
PERMITS = 4
CAPACITY = 64
STANDING = 10_000
FAR = 3600


async def measured(operations, work):
    began = time.perf_counter_ns()
    await work
    nanoseconds = time.perf_counter_ns() - began
    return {"operations": operations, "nanoseconds": nanoseconds, "lateness": []}


def rounds_of(operations, each):
    return -(-operations // each)


async def give(number):
    return number


async def give_later(number):
    await asyncio.sleep(0)
    return number


async def spawn_join(operations):
    async def work():
        for number in range(operations):
            assert await asyncio.create_task(give(number)) == number

    return await measured(operations, work())


async def spawn_many(operations):
    rounds = rounds_of(operations, GATHERED)

    async def work():
        for _ in range(rounds):
            tasks = [asyncio.create_task(give(number)) for number in range(GATHERED)]
            for number, task in enumerate(tasks):
                assert await task == number

    return await measured(rounds * GATHERED, work())


async def gather(operations):
    rounds = rounds_of(operations, GATHERED)

    async def work():
        for _ in range(rounds):
            numbers = await asyncio.gather(*(give_later(number) for number in range(GATHERED)))
            assert numbers == list(range(GATHERED))

    return await measured(rounds * GATHERED, work())


async def yielding(operations):
    async def work():
        for _ in range(operations):
            await asyncio.sleep(0)

    return await measured(operations, work())


async def ring(operations, tasks):
    rounds = rounds_of(operations, tasks)
    events = [asyncio.Event() for _ in range(tasks)]

    async def member(place):
        own, following = events[place], events[(place + 1) % tasks]
        for _ in range(rounds):
            await own.wait()
            own.clear()
            following.set()

    members = [asyncio.create_task(member(place)) for place in range(tasks)]

    async def work():
        events[0].set()
        for member in members:
            await member

    return await measured(rounds * tasks, work())


async def remote_wake(operations):
    asked, answer = queue.SimpleQueue(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def help():
        while asked.get():
            loop.call_soon_threadsafe(answer.set)

    helper = threading.Thread(target=help)
    helper.start()

    async def work():
        for _ in range(operations):
            asked.put(True)
            await answer.wait()
            answer.clear()

    found = await measured(operations, work())
    asked.put(False)
    helper.join()
    return found


async def lock(operations):
    own = asyncio.Lock()

    async def work():
        for _ in range(operations):
            async with own:
                pass

    return await measured(operations, work())


async def contended_lock(operations):
    rounds = rounds_of(operations, TASKS)
    own = asyncio.Lock()
    count = 0

    async def locker():
        nonlocal count
        for _ in range(rounds):
            async with own:
                before = count
                await asyncio.sleep(0)
                count = before + 1

    found = await measured(rounds * TASKS, asyncio.gather(*(locker() for _ in range(TASKS))))
    assert count == rounds * TASKS
    return found


async def semaphore(operations):
    own = asyncio.Semaphore(PERMITS)

    async def work():
        for _ in range(operations):
            async with own:
                pass

    return await measured(operations, work())


async def contended_semaphore(operations):
    rounds = rounds_of(operations, TASKS)
    own = asyncio.Semaphore(PERMITS)
    holders = 0

    async def holder():
        nonlocal holders
        for _ in range(rounds):
            async with own:
                holders += 1
                assert holders <= PERMITS
                await asyncio.sleep(0)
                holders -= 1

    return await measured(rounds * TASKS, asyncio.gather(*(holder() for _ in range(TASKS))))


async def put_and_get(operations):
    own = asyncio.Queue(CAPACITY)

    async def putter():
        for number in range(operations):
            await own.put(number)

    async def getter():
        for number in range(operations):
            assert await own.get() == number

    return await measured(operations, asyncio.gather(getter(), putter()))


async def start_cancel(operations):
    loop = asyncio.get_running_loop()
    standing = [loop.call_later(FAR, print) for _ in range(STANDING)]

    async def work():
        for _ in range(operations):
            loop.call_later(FAR, print).cancel()

    found = await measured(operations, work())
    for handle in standing:
        handle.cancel()
    return found


async def lateness(operations):
    late = []

    async def work():
        for number in range(operations):
            asked = 1000 + number * 7919 % 4000
            before = time.perf_counter_ns()
            await asyncio.sleep(asked / 1e6)
            late.append(max(0, time.perf_counter_ns() - before - asked * 1000))

    return {**await measured(operations, work()), "lateness": late}


WORKLOADS = {
    "spawn-join": spawn_join,
    "spawn-many": spawn_many,
    "gather": gather,
    "yield": yielding,
    "wake": functools.partial(ring, tasks=2),
    "ring": functools.partial(ring, tasks=1000),
    "remote-wake": remote_wake,
    "lock": lock,
    "contended-lock": contended_lock,
    "semaphore": semaphore,
    "contended-semaphore": contended_semaphore,
    "queue": put_and_get,
    "start-cancel": start_cancel,
    "lateness": lateness,
}

_, name, workload, operations = sys.argv
loop = importlib.import_module(name).new_event_loop()
print(json.dumps(loop.run_until_complete(WORKLOADS[workload](int(operations)))))
