"""Opens pages in a real Chromium and says what they could do to the daemon."""

import http.server
import json
import queue
import re
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request

PATIENCE = 120
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--disable-features=OptimizationHints,MediaRouter",
    "--enable-logging=stderr",
]
ATTEMPTS = open(__file__.replace("browser.py", "browser.html"), encoding="utf-8").read()


def chromium(folder, *more):
    return subprocess.Popen(
        ["chromium", *FLAGS, f"--user-data-dir={folder}", *more],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def shown(url, *more):
    """The page's text once nothing moves any more, and what the console says."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        run = chromium(folder, "--virtual-time-budget=15000", "--dump-dom", *more, url)
        try:
            dom, log = run.communicate(timeout=PATIENCE)
        finally:
            run.kill()
        return dom, [line for line in log.splitlines() if "CONSOLE" in line]


class Server(http.server.ThreadingHTTPServer):
    """Serves one page, keeps what is posted to it, and writes down what else is asked."""

    daemon_threads = True

    def __init__(self, port, page=""):
        super().__init__(("127.0.0.1", port), Handler)
        self.page, self.reports, self.asked = page, queue.Queue(), []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        body = self.server.page.encode()
        self.send_response(200 if body else 502)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_CONNECT(self):
        self.server.asked.append(self.path)
        self.send_error(502)

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.reports.put(json.loads(text))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def docs(url):
    # A proxy sees whatever is not on this machine: the loopback is never asked through one.
    outside = Server(0)
    dom, console = shown(url + "/docs/", f"--proxy-server=http://127.0.0.1:{outside.server_port}")
    for wanted in ("swagger-ui", "/alerts/{id}", "/prices/ws", "Authorize"):
        if wanted not in re.sub("<wbr>|\u200b", "", dom):
            sys.exit(f"the page does not show {wanted}: {dom[:3000]}\n" + "\n".join(console))
    # What the browser itself wants of its maker whatever page it shows is no request of the page.
    asked = [one for one in outside.asked if not re.search(r"(^|[/.])(google|googleapis|gvt1)\.com[:/]", one)]
    if asked:
        sys.exit(f"the page asks others: {asked}")
    if console:
        sys.exit("the console complains:\n" + "\n".join(console))


def tried(url, token, port):
    """What the page on that port could do. The name in its own address: cross-origin, but the same site as the daemon's."""
    page = ATTEMPTS.replace("DAEMON_URL", url).replace("OWNER_TOKEN", token)
    server = Server(port, page)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        run = chromium(folder, "--remote-debugging-port=0", f"http://127.0.0.1:{port}/")
        # Nobody reads what it says; it must not wait for a reader.
        threading.Thread(target=run.communicate, daemon=True).start()
        try:
            return server.reports.get(timeout=PATIENCE)
        except queue.Empty:
            sys.exit(f"the page on port {port} never came to its end")
        finally:
            run.kill()
            run.wait()
            server.shutdown()


def ask(url, path, token, body=None):
    head = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(url + path, headers=head, data=body and json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, None


def pages(url, token, evil, friend):
    could = tried(url, token, int(evil))
    worked = [name for name, outcome in could.items() if outcome["worked"]]
    if worked or len(could) < 12:
        sys.exit(f"a foreign page could: {worked}\n{json.dumps(could, indent=1)}")
    made = ask(url, "/alerts", token)[1]["items"]
    if made:
        sys.exit(f"a foreign page made alerts: {made}")
    account = {"email": "evil@example.org", "password": "long enough"}
    if ask(url, "/auth/login", token, account)[0] != 401:
        sys.exit("a foreign page made an account")
    # The same tries from a page that the configuration names: they are good ones.
    could = tried(url, token, int(friend))
    for wanted in ("read with token", "create", "websocket with token"):
        if not could[wanted]["worked"]:
            sys.exit(f"the page that is allowed cannot: {wanted}\n{json.dumps(could, indent=1)}")
    for unwanted in ("read", "websocket"):
        if could[unwanted]["worked"]:
            sys.exit(f"without a token: {unwanted}\n{json.dumps(could, indent=1)}")


def rebound(url):
    port = url.rsplit(":", 1)[1]
    rules = ["--host-resolver-rules=MAP evil.example 127.0.0.1", "--no-proxy-server"]
    for path, secret in (("/docs/", "swagger"), ("/openapi.json", '"paths"'), ("/health/live", '"live"')):
        seen, _ = shown(url + path, *rules)
        if secret not in seen:
            sys.exit(f"{path} under its own name lacks {secret}, so that the next check would prove nothing: {seen[:500]}")
        seen, _ = shown(f"http://evil.example:{port}{path}", *rules)
        if secret in seen or "421" not in seen:
            sys.exit(f"{path} under the name of another: {seen[:2000]}")


{"docs": docs, "pages": pages, "rebound": rebound}[sys.argv[1]](*sys.argv[2:])
