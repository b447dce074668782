// A plain server of the package ws: six prices each tenth of a second, of sixty instruments in turn, to everybody.
import { createRequire } from "node:module";

const { WebSocketServer } = createRequire(process.cwd() + "/")("ws");
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
server.on("listening", () => console.log(server.address().port));
let beat = 0;
setInterval(() => {
  for (let i = 0; i < 6; i++) {
    const text = JSON.stringify({
      type: "price", symbol: "S" + ((beat * 6 + i) % 60), price: beat + ".25", sent: performance.timeOrigin + performance.now(),
      change_24h_pct: "1.25", as_of: "2026-11-22T12:00:00.000Z", received: "2026-11-22T12:00:00.000Z",
      source: "tape", session: "regular", stale_after: "1m", delay: "0s", seq: beat * 6 + i,
    });
    for (const client of server.clients) client.send(text);
  }
  beat++;
}, 100);
