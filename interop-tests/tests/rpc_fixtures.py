"""Holds the golden messages of docs/rpc.md against Python's json module, which is all a pyre program needs.

Usage: rpc_fixtures.py FILE. Prints what differs and exits with 1, or prints how many messages it has seen.
"""

import json
import sys


class Object(dict):
    """A JSON object that remembers whether a name was there twice."""

    def __init__(self, pairs):
        super().__init__(pairs)
        self.repeated = len(self) < len(pairs)


def depth(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


def is_number(value, kind=int):
    return isinstance(value, kind) and not isinstance(value, bool)


def invalid(code, ident=None):
    return {"kind": "invalid", "code": code, "id": ident}


def decode(frames):
    """What a whisper is: the rules of docs/rpc.md as short as they get."""
    start = frames[0].lstrip(b" \t\r\n") if frames else b""
    is_batch = start[:1] == b"[" and start[1:].lstrip(b" \t\r\n")[:1] == b"{"
    if b'"jsonrpc"' not in start or not (is_batch or start[:1] == b"{"):
        return {"kind": "other"}
    try:
        value = json.loads(frames[0].decode("utf-8"), object_pairs_hook=Object)
    except ValueError:
        return invalid(-32700)
    if depth(value) > 64:
        return invalid(-32600)
    if not is_batch:
        return packet(value, frames[1:]) if "jsonrpc" in value else {"kind": "other"}
    if not any(isinstance(entry, dict) and "jsonrpc" in entry for entry in value):
        return {"kind": "other"}
    if len(value) > 256:
        return invalid(-32600)
    return {"kind": "batch", "entries": [packet(entry, []) for entry in value]}


def packet(entry, more):
    ident = entry.get("id") if isinstance(entry, dict) else None
    if not (ident is None or is_number(ident, (int, float)) or isinstance(ident, str) and len(ident) <= 256):
        return invalid(-32600)
    if not isinstance(entry, dict) or entry.get("jsonrpc") != "2.0" or entry.repeated:
        return invalid(-32600, ident)
    codec = entry.get("codec", "json")
    if codec not in ("json", "msgpack"):
        return invalid(-32005 if isinstance(codec, str) else -32600, ident)
    binary = codec == "msgpack"
    kinds = [name for name in ("method", "result", "error") if name in entry] or ["result"][: int(binary)]
    if len(kinds) != 1 or binary and not more or binary and kinds[0] in entry and kinds[0] != "method":
        return invalid(-32600, ident)
    if kinds[0] == "method":
        return request(entry, ident, binary)
    if kinds[0] == "error":
        error = entry["error"]
        well = isinstance(error, dict) and is_number(error.get("code")) and isinstance(error.get("message"), str)
        return {"kind": "error", "id": ident} if well and "id" in entry else invalid(-32600, ident)
    return {"kind": "result", "id": ident} if "id" in entry else invalid(-32600, ident)


def request(entry, ident, binary):
    method, params = entry["method"], entry.get("params")
    if not isinstance(method, str) or len(method.encode("utf-8", "replace")) > 255:
        return invalid(-32600, ident)
    if any("\ud800" <= character <= "\udfff" for character in method):
        return invalid(-32600, ident)
    if not (params is None or isinstance(params, (dict, list))):
        return invalid(-32600, ident)
    if "id" not in entry and method in ("rpc.cancel", "rpc.item", "rpc.credit"):
        number = {"rpc.item": "seq", "rpc.credit": "n"}.get(method)
        well = isinstance(params, dict) and "id" in params
        if not well or number and not (is_number(params.get(number)) and params[number] >= 0):
            return invalid(-32600)
        return {"kind": method[4:], "id": params["id"]}
    if binary and params is not None and set(params) - {"_meta"}:
        return invalid(-32600, ident)
    return {"kind": "request", "id": ident} if "id" in entry else {"kind": "notification"}


def encode(told):
    """Frame 0 of what a fixture describes, members in the order in which this project writes them."""
    if told["kind"] == "batch":
        return [encode(entry) for entry in told["entries"]]
    frame = {"jsonrpc": "2.0"}
    codec = {"codec": "msgpack"} if told.get("codec") == "msgpack" else {}
    if told["kind"] in ("request", "notification"):
        if "id" in told:
            frame["id"] = told["id"]
        frame.update(method=told["method"], **codec)
        params = None if codec else told["params"]
        if "meta" in told:
            params = {**(params or {}), "_meta": told["meta"]}
        return frame if params is None else {**frame, "params": params}
    if told["kind"] == "result":
        frame["id"] = told["id"]
        return {**frame, **(codec or {"result": told["result"]})}
    if told["kind"] == "error":
        return {**frame, "id": told["id"], "error": told["error"]}
    frame.update(method="rpc." + told["kind"], **codec)
    names = {"cancel": ("id",), "item": ("id", "seq") if codec else ("id", "seq", "value"), "credit": ("id", "n")}
    return {**frame, "params": {name: told[name] for name in names[told["kind"]]}}


def outline(told):
    """What `decode` says, of what a fixture says."""
    if told["kind"] == "batch":
        return {"kind": "batch", "entries": [outline(entry) for entry in told["entries"]]}
    return {name: told[name] for name in ("kind", "code", "id") if name in told}


def main(path):
    with open(path, encoding="utf-8") as file:
        fixtures = json.load(file)
    faults = []

    def check(name, what, ours, golden):
        if ours != golden:
            faults.append(f"{name}: {what}: {ours!r} instead of {golden!r}")

    for fixture in fixtures:
        name, told = fixture["name"], fixture["decoded"]
        frames = [bytes.fromhex(f["hex"]) if isinstance(f, dict) else f.encode("utf-8") for f in fixture["frames"]]
        check(name, "decoded", decode(frames), outline(told))
        if fixture.get("canonical"):
            ours = encode(told)
            check(name, "meaning", ours, json.loads(frames[0]))
            text = json.dumps(ours, separators=(",", ":"), ensure_ascii=False)
            check(name, "text", text.encode("utf-8"), frames[0])
    print("\n".join(faults) or f"{len(fixtures)} messages")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
