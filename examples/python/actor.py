#!/usr/bin/env python3
"""Serves calc.add, calc.div and text.upper; `actor.py METHOD JSON` calls instead. Needs: pip install zeromq-pyre"""
import json, sys
from pyre import Pyre
BY_ZERO = {"error": {"code": 1, "message": "cannot divide by zero", "data": "DivisionByZero"}}
OVERFLOW = {"error": {"code": 1, "message": "the result does not fit into 64 bits", "data": "Overflow"}}
def number(n): return {"result": n} if -2**63 <= n < 2**63 else OVERFLOW
METHODS = {  # what each takes, by name or by position, and what it answers; div rounds towards zero, as Rust does
    "calc.add": ({"a": int, "b": int}, lambda a, b: number(a + b)),
    "calc.div": ({"a": int, "b": int}, lambda a, b: number(abs(a) // abs(b) * (a * b > 0 or -1)) if b else BY_ZERO),
    "text.upper": ({"text": str}, lambda text: {"result": text.upper()}),
}
def answer(request):  # None when it is no request or wants no answer
    if not isinstance(request, dict) or request.get("jsonrpc") != "2.0" or "method" not in request: return None
    takes, method = METHODS.get(str(request["method"]), ({}, None))
    params = request.get("params")  # those by name may hold _meta (deadline, trace), which need not be heeded
    values = [params.get(name) for name in takes] if isinstance(params, dict) else params
    fits = isinstance(values, list) and [type(value) for value in values] == [*takes.values()]
    if not method: outcome = {"error": {"code": -32601, "message": "there are " + ", ".join(METHODS)}}
    elif not fits: outcome = {"error": {"code": -32602, "message": "it takes " + ", ".join(takes)}}
    else: outcome = method(*values)
    return {"jsonrpc": "2.0", "id": request["id"], **outcome} if "id" in request else None
method, params = (sys.argv + [None, "null"])[1:3]
call = {"jsonrpc": "2.0", "id": "call", "method": method, "params": json.loads(params)}
service, node = method and "svc/" + method.rsplit(".", 1)[0], Pyre("actor-pyre")
for group in [] if method else ["svc/calc", "svc/text", "pool/calc"]: node.join(group)
node.start()
try:
    for event in node.events():
        if event.type == "JOIN" and event.group == service:
            service = node.whisper(event.peer_uuid, json.dumps(call).encode())  # None: no second one is asked
        elif event.type == "WHISPER":
            try: message = json.loads(event.msg[0])
            except (ValueError, RecursionError): continue  # no RPC
            if method and isinstance(message, dict) and message.get("id") == "call":
                sys.exit(print(event.msg[0].decode()) or "error" in message)
            many = isinstance(message, list)  # a batch is answered by a batch
            answers = [found for found in map(answer, message if many else [message]) if found]
            if answers: node.whisper(event.peer_uuid, json.dumps(answers if many else answers[0]).encode())
finally: node.stop()  # without it the interpreter never ends
