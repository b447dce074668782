"""Asks a Prometheus every expression of a Grafana dashboard until all have an answer, for a minute at most."""

import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

SERVER, DASHBOARD = sys.argv[1:]


def expressions(panels):
    for panel in panels:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
        yield from expressions(panel.get("panels", []))


def ask(expression):
    """Whether there is an answer; ends the program where the question itself is wrong."""
    query = urllib.parse.urlencode({"query": expression.replace("$instance", ".*")})
    try:
        with urllib.request.urlopen(f"{SERVER}/api/v1/query?{query}", timeout=10) as answer:
            result = json.load(answer)["data"]["result"]
    except urllib.error.HTTPError as error:
        sys.exit(f"{expression}: {json.load(error)['error']}")
    except OSError:
        return False  # it has only just been started
    # A share of nothing is no number.
    return any(series["value"][1] != "NaN" for series in result)


with open(DASHBOARD, encoding="utf-8") as file:
    waiting = list(expressions(json.load(file)["panels"]))
assert len(waiting) > 10, "a dashboard with hardly a panel"
count, began = len(waiting), time.monotonic()
while True:
    waiting = [(title, expression) for title, expression in waiting if not ask(expression)]
    if not waiting:
        print(f"{count} expressions, each with an answer")
        break
    if time.monotonic() - began > 60:
        for title, expression in waiting:
            print(f"{title}: no data for {expression}", file=sys.stderr)
        sys.exit(1)
    time.sleep(1)
