"""Says everything that can be said over the daemon's WebSocket, and judges each message by the daemon's own document."""

import asyncio
import json
import pathlib
import sys
import urllib.request

import websockets
from jsonschema import Draft7Validator, Draft202012Validator

PATIENCE = 30
OFFICIAL = pathlib.Path(__file__).parent / "specs" / "asyncapi-3.0.0.json"


class Judge:
    """The payload's schema of each message, by the word that stands in `type`."""

    def __init__(self, document):
        self.schemas = {}
        messages = document["components"]["messages"]
        heard = document["operations"]["hear"]["messages"] + document["operations"]["command"]["reply"]["messages"]
        for reference in heard:
            name = reference["$ref"].rsplit("/", 1)[1]
            schema = {"components": document["components"], **messages[name]["payload"]}
            Draft202012Validator.check_schema(schema)
            self.schemas[name] = Draft202012Validator(schema)
            for example in messages[name]["examples"]:
                self.schemas[name].validate(example["payload"])
        self.seen = set()
        self.seq = None

    def hear(self, text):
        message = json.loads(text)
        kind = message["type"]
        for fault in self.schemas[kind].iter_errors(message):
            sys.exit(f"{kind}: {fault.message}\nin {text[:2000]}")
        if kind == "snapshot":
            self.seq = message["seq"]
        elif "seq" in message:
            if message["seq"] != self.seq + 1:
                sys.exit(f"{message['seq']} follows {self.seq}: {text[:200]}")
            self.seq = message["seq"]
        self.seen.add(kind)
        return message


async def until(socket, judge, wanted):
    async with asyncio.timeout(PATIENCE):
        while True:
            message = judge.hear(await socket.recv())
            if wanted(message):
                return message


async def command(socket, judge, number, ok, **said):
    await socket.send(json.dumps({"id": number, **said}))
    reply = await until(socket, judge, lambda m: m["type"] == "reply" and m["id"] == number)
    if reply["ok"] is not ok:
        sys.exit(f"{said}: {reply}")
    return reply


async def main(url, token):
    with urllib.request.urlopen(url + "/asyncapi.json") as answer:
        document = json.load(answer)
    for fault in Draft7Validator(json.loads(OFFICIAL.read_text())).iter_errors(document):
        sys.exit(f"/asyncapi.json, {'/'.join(map(str, fault.absolute_path))}: {fault.message}"[:2000])
    judge = Judge(document)
    address = url.replace("http", "ws", 1) + document["channels"]["prices"]["address"]
    try:
        await websockets.connect(address, subprotocols=["bellwether.v1", "bearer.wrong"])
        sys.exit("a wrong token was let in")
    except websockets.exceptions.InvalidStatus as refused:
        if refused.response.status_code != 401:
            sys.exit(f"a wrong token: {refused}")
    async with websockets.connect(address, subprotocols=["bellwether.v1", "bearer." + token], max_size=None) as socket:
        if socket.subprotocol != "bellwether.v1":
            sys.exit(f"the subprotocol is {socket.subprotocol}")
        for expected in ("hello", "snapshot"):
            first = judge.hear(await socket.recv())
            if first["type"] != expected:
                sys.exit(f"{expected} was due: {first}")
        await until(socket, judge, lambda m: m["type"] == "price")
        made = await command(socket, judge, 1, True, type="create", alert={"expr": "BTC > 1 each"}, key="once")
        alert = made["alert"]["id"]
        again = await command(socket, judge, "one", True, type="create", alert={"expr": "BTC > 1 each"}, key="once")
        if again["alert"]["id"] != alert:
            sys.exit(f"the key made a second alert: {again}")
        if not {"firing", "delivery"} <= judge.seen:
            await until(socket, judge, lambda m: {"firing", "delivery"} <= judge.seen)
        await command(socket, judge, 2, True, type="update", alert_id=alert, patch={"paused": True}, version=1)
        await command(socket, judge, 3, False, type="update", alert_id=alert, patch={"paused": False}, version=1)
        await command(socket, judge, 4, False, type="create", alert={"expr": "BTC > > 1"})
        await command(socket, judge, 5, True, type="delete", alert_id=alert)
        await command(socket, judge, 6, False, type="delete", alert_id="a999999")
        await socket.send('{"type":"nonsense"}')
        await until(socket, judge, lambda m: m["type"] == "error")
        await socket.send('{"type":"snapshot"}')
        await until(socket, judge, lambda m: m["type"] == "snapshot")
        await socket.send('{"type":"subscribe","symbols":["ETH"],"topics":["prices"],"interval":"1s"}')
        narrow = await until(socket, judge, lambda m: m["type"] == "snapshot")
        if narrow["alerts"] or narrow["feeds"] or any(p["symbol"] != "ETH" for p in narrow["prices"]):
            sys.exit(f"more than was chosen: {narrow}")
        unheard = set(judge.schemas) - judge.seen - {"feed"}
        if unheard:
            sys.exit(f"never heard: {unheard}")
        await socket.send(b"binary")
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    judge.hear(await socket.recv())
        except websockets.exceptions.ConnectionClosed as closed:
            if closed.rcvd is None or closed.rcvd.code != 1003:
                sys.exit(f"binary: {closed}")


asyncio.run(main(*sys.argv[1:]))
