"""A plain server of Python's websockets: six prices each tenth of a second, of sixty instruments in turn, to everybody."""

import asyncio
import json
import time

import websockets


async def main():
    clients = set()

    async def join(socket):
        clients.add(socket)
        try:
            async for _ in socket:
                pass
        finally:
            clients.discard(socket)

    async with websockets.serve(join, "127.0.0.1", 0, compression=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        beat, due = 0, time.monotonic()
        while True:
            for i in range(6):
                text = json.dumps(
                    {
                        "type": "price", "symbol": f"S{(beat * 6 + i) % 60}", "price": f"{beat}.25", "sent": time.time() * 1000,
                        "change_24h_pct": "1.25", "as_of": "2026-11-22T12:00:00.000Z", "received": "2026-11-22T12:00:00.000Z",
                        "source": "tape", "session": "regular", "stale_after": "1m", "delay": "0s", "seq": beat * 6 + i,
                    },
                    # As every other server writes it: without spaces.
                    separators=(",", ":"),
                )
                websockets.broadcast(clients, text)
            beat += 1
            due += 0.1
            await asyncio.sleep(max(0, due - time.monotonic()))


asyncio.run(main())
