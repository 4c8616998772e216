"""Connects to an HTTP server on this machine as fast as it can until its input ends.

    http_client.py PORT

Two threads make a connection for each request, and two keep theirs until the server says that it
ends them. Prints "connecting" when all have got a response, then what went wrong, and in the last
line how much came.
"""

import http.client
import sys
import threading

PORT = int(sys.argv[1])

stop = threading.Event()
started = threading.Barrier(5)
lock = threading.Lock()
responses, errors = 0, []


def ask(connection, keeps):
    fields = {} if keeps else {"Connection": "close"}
    connection.request("GET", "/info", headers=fields)
    response = connection.getresponse()
    text = response.read()
    if response.status != 200 or not text.startswith(b"shard: "):
        raise ValueError(f"{response.status}: {text!r}")
    return response.will_close


def client(keeps):
    global responses
    is_first, connection = True, None
    while not stop.is_set():
        try:
            connection = connection or http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
            if ask(connection, keeps):
                connection.close()
                connection = None
            with lock:
                responses += 1
        except Exception as error:
            # The server may close a connection that is idle, before a request and without a
            # response: a client asks again then.
            is_idle = isinstance(error, (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError))
            if not (keeps and is_idle):
                with lock:
                    errors.append(repr(error))
            connection = None
            # Not as fast as possible, which would be very many.
            stop.wait(0.05)
        if is_first:
            is_first = False
            started.wait()


threads = [threading.Thread(target=client, args=[keeps]) for keeps in [False, False, True, True]]
for thread in threads:
    thread.start()
started.wait()
print("connecting", flush=True)
sys.stdin.read()
stop.set()
for thread in threads:
    thread.join()
for error in errors:
    print(error)
print(f"{responses} responses, {len(errors)} errors")
