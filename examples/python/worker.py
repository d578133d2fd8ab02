#!/usr/bin/env python3
"""Works off JSON requests: answers each whisper to whoever sent it.

Twin of src/bin/worker.rs; dealer sends the requests. Needs: pip install zeromq-pyre
"""
import argparse
import json
import time

from pyre import Pyre

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("group", nargs="?", default="pool/calc", help="the group to offer work in")
parser.add_argument("--name", default="worker-pyre", help="name that other nodes see")
parser.add_argument("--port", type=int, default=5670, help="UDP port of the beacons")
parser.add_argument("--count", type=int, help="end after this many answers")
parser.add_argument("--work-ms", type=int, default=0, help="pretend that each request takes so many milliseconds")
args = parser.parse_args()


def answer(frame):
    """The answer to a request; None when it is no JSON-RPC request or wants no answer."""
    try:
        request = json.loads(frame)
    except (ValueError, RecursionError):
        return None
    if not isinstance(request, dict) or request.get("jsonrpc") != "2.0":
        return None
    if "id" not in request or not isinstance(request.get("method"), str):
        return None
    reply = {"jsonrpc": "2.0", "id": request["id"]}
    if request["method"] != "calc.add":
        return {**reply, "error": {"code": -32601, "message": "this worker knows calc.add only"}}
    params = request.get("params")
    a, b = (params.get("a"), params.get("b")) if isinstance(params, dict) else (None, None)
    if type(a) is not int or type(b) is not int:
        return {**reply, "error": {"code": -32602, "message": "calc.add takes the integers a and b"}}
    return {**reply, "result": a + b}


node = Pyre(args.name)
answered = 0
try:
    node.set_port(str(args.port).encode())  # bytes: with an int pyre 0.3.4 hangs
    node.set_header("X-RPC", "jsonrpc/2.0")
    node.join(args.group)
    node.start()
    print(f"{args.name} works in {args.group}", flush=True)
    while args.count is None or answered < args.count:
        event = next(node.events())
        if event.type != "WHISPER":
            continue
        reply = answer(event.msg[0])
        if reply is None:
            print(f"{event.peer_name} whispers what is no request", flush=True)
            continue
        time.sleep(args.work_ms / 1000)
        node.whisper(event.peer_uuid, json.dumps(reply).encode())
        answered += 1
    time.sleep(0.2)  # pyre drops what it has not sent yet when it stops
except KeyboardInterrupt:
    pass
finally:
    print(f"{args.name} has answered {answered} requests", flush=True)
    node.stop()  # without it the interpreter never ends
