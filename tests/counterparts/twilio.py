"""Stands in for Twilio's Messages endpoint and judges every request by Twilio's own OpenAPI document.

The judge is openapi-core with specs/twilio-messages.json; what the document says only in prose (E.164, a sender, a
text of at most 1600 characters) and names it does not know are judged here. Our own answers are held against the
document too. Accepted messages are remembered, so that a client can look one up after a lost answer.
"""
import base64
import collections
import datetime
import email.utils
import http.server
import json
import os
import re
import sys
import threading
import time
import urllib.parse

from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from werkzeug.datastructures import Headers, ImmutableMultiDict

import faults

HERE = os.path.dirname(os.path.abspath(__file__))
ACCOUNT = "AC" + "5e" * 16
TOKEN = "0123456789abcdef0123456789abcdef"
SENDER = "+15005550006"
MODES = ("401", "429", "500", "503", "hang", "cut", "lost")
# The recipients that Twilio itself refuses when called with test credentials.
MAGIC = {
    "+15005550001": (21211, "The 'To' number +15005550001 is not a valid phone number."),
    "+15005550002": (21612, "The 'To' phone number: +15005550002, is not currently reachable using the 'From' number."),
    "+15005550003": (21408, "Permission to send an SMS has not been enabled for the region of +15005550003."),
    "+15005550004": (21610, "Attempt to send to unsubscribed recipient"),
    "+15005550009": (21614, "'To' number +15005550009 is not a valid mobile number"),
}
GSM = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_TWO = set("\f^{}\\[~]|€")


def is_date(value):
    # The document calls these `date-time`, but its text and its examples say YYYY-MM-DD.
    try:
        datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
        return True
    except ValueError:
        return False


def is_uri(value):
    # Relative ones are what Twilio itself answers with.
    return re.fullmatch(r"(https?://[^\s/]+\S*|/\S*)", value) is not None


with open(os.path.join(HERE, "specs", "twilio-messages.json"), encoding="utf-8") as spec_file:
    DOCUMENT = json.load(spec_file)
JUDGE = OpenAPI.from_dict(
    DOCUMENT, config=Config(extra_format_validators={"date-time": is_date, "uri": is_uri})
)
HOST = DOCUMENT["servers"][0]["url"]


class Request:
    """One request in the shape that openapi-core asks for."""

    def __init__(self, method, path, query, headers, body):
        self.host_url, self.method, self.path = HOST, method.lower(), path
        self.content_type = headers.get("content-type", "")
        self.body = body
        pairs = urllib.parse.parse_qsl(query, keep_blank_values=True)
        self.parameters = RequestParameters(query=ImmutableMultiDict(pairs), header=Headers(list(headers.items())))


class Answer:
    """One answer of ours in the shape that openapi-core asks for."""

    content_type = "application/json"

    def __init__(self, status, body):
        self.status_code, self.data, self.headers = status, json.dumps(body).encode(), Headers()


def segments(text):
    if all(c in GSM or c in GSM_TWO for c in text):
        units, one, many = sum(2 if c in GSM_TWO else 1 for c in text), 160, 153
    else:
        units, one, many = len(text.encode("utf-16-le")) // 2, 70, 67
    return 1 if units <= one else -(-units // many)


def causes(error):
    """The whole chain of an openapi-core error: the outermost says where, the innermost what."""
    said = []
    while error is not None:
        exact = [e.message for e in getattr(error, "schema_errors", None) or []]
        said.extend(text for text in exact or [str(error).split("\n")[0]] if text not in said)
        error = error.__cause__ or error.__context__
    return said


def judge(request):
    """Why the request does not fit the official document: (code, reasons), or None when it does."""
    try:
        JUDGE.validate_request(request)
    except Exception as error:  # every refusal of openapi-core, and anything it stumbles over
        return 20001, causes(error)
    where = DOCUMENT["paths"][template(request.path)]
    operation = where[request.method]
    known = {p["name"] for p in operation.get("parameters", []) if p["in"] == "query"}
    unknown = sorted(set(request.parameters.query) - known)
    if request.method == "get":
        return (20001, [f"the document has no query parameter {name!r}" for name in unknown]) if unknown else None
    fields = operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]["properties"]
    form = pairs_of(request.body)
    count = collections.Counter(name for name, _ in form)
    said = [f"the document has no query parameter {name!r}" for name in unknown]
    said += [f"the document has no field {name!r}" for name in sorted(count) if name not in fields]
    said += [f"{name} is given {n} times" for name, n in count.items()
             if n > 1 and fields.get(name, {}).get("type") != "array"]
    return (20001, said) if said else prose(dict(form))


def prose(form):
    """What the document says about a new message in words only."""
    if not re.fullmatch(r"\+[1-9]\d{1,14}", form["To"]):
        return 21211, [f"The 'To' number {form['To']} is not a valid phone number."]
    if form["To"] in MAGIC:
        return MAGIC[form["To"]][0], [MAGIC[form["To"]][1]]
    if "From" not in form and "MessagingServiceSid" not in form:
        return 21603, ["A 'From' phone number is required."]
    if "From" in form and not re.fullmatch(r"\+[1-9]\d{1,14}", form["From"]):
        return 21212, [f"The 'From' number {form['From']} is not a valid phone number, shortcode, or alphanumeric sender ID."]
    if not any(form.get(name) for name in ("Body", "MediaUrl", "ContentSid")):
        return 21602, ["Message body is required."]
    if len(form.get("Body", "")) > 1600:
        return 21617, ["The concatenated message body exceeds the 1600 character limit."]
    if not 1 <= int(form.get("ValidityPeriod", 36000)) <= 36000:
        return 20001, ["ValidityPeriod is from 1 to 36000 seconds"]
    return None


def template(path):
    return next(t for t in DOCUMENT["paths"] if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", t), path))


def pairs_of(body):
    return urllib.parse.parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)


class Twilio(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder = ""
    messages = []
    lock = threading.Lock()

    def do_GET(self):
        self.serve()

    do_POST = do_GET
    do_PUT = do_GET
    do_DELETE = do_GET

    def serve(self):
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        request = Request(self.command, path, query, self.headers, body)
        account = "Basic " + base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
        if self.headers.get("authorization") != account:
            return self.refuse(request, 401, 20003, ["Authenticate"])
        refused = judge(request)
        if refused:
            return self.refuse(request, 400, *refused)
        if request.path.split("/")[3] != ACCOUNT:
            return self.refuse(request, 401, 20003, ["Authenticate: this is another account"])
        if request.method == "get":
            return self.read(request)
        form = dict(pairs_of(body))
        fault = faults.take(os.path.join(self.folder, "fault"), form["To"], MODES)
        if fault in ("hang", "cut"):
            self.note(request, verdict="fault", fault=fault)
            if fault == "hang":
                self.connection.settimeout(120)
                try:
                    self.connection.recv(1)  # returns when the client has had enough
                except OSError:
                    pass
            self.close_connection = True
            return None
        if fault and fault != "lost":
            code = {"401": 20003, "429": 20429}.get(fault, 20500)
            return self.refuse(request, int(fault), code, ["Too Many Requests" if fault == "429" else "fault on demand"],
                               fault=fault)
        message = self.create(form)
        self.note(request, verdict="accepted", status=201, sid=message["sid"], fault=fault)
        if fault == "lost":
            self.close_connection = True
            return None
        return self.answer(request, 201, message)

    def create(self, form):
        now = email.utils.format_datetime(datetime.datetime.now(datetime.timezone.utc))
        with self.lock:
            sid = f"SM{len(self.messages) + 1:032x}"
            uri = f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid}"
            message = {
                "account_sid": ACCOUNT, "api_version": "2010-04-01", "body": form.get("Body", ""), "date_created": now,
                "date_sent": None, "date_updated": now, "direction": "outbound-api", "error_code": None,
                "error_message": None, "from": form.get("From"), "num_media": "0",
                "num_segments": str(segments(form.get("Body", ""))), "price": None, "price_unit": None,
                "messaging_service_sid": form.get("MessagingServiceSid"), "sid": sid, "status": "queued",
                "subresource_uris": {"media": uri + "/Media.json"}, "to": form["To"], "uri": uri + ".json",
            }
            # Whoever asks later finds it sent.
            self.messages.append({**message, "status": "sent", "date_sent": now})
        return message

    def read(self, request):
        query = request.parameters.query
        with self.lock:
            found = list(reversed(self.messages))
        if not request.path.endswith("/Messages.json"):
            sid = request.path.rsplit("/", 1)[1].removesuffix(".json")
            one = next((m for m in found if m["sid"] == sid), None)
            if one is None:
                return self.refuse(request, 404, 20404, [f"The requested resource {request.path} was not found"])
            self.note(request, verdict="accepted", status=200)
            return self.answer(request, 200, one)

        def day(text):
            return datetime.date.fromisoformat(text[:10])

        def sent(message):
            return email.utils.parsedate_to_datetime(message["date_sent"]).date()

        tests = {
            "To": lambda m, v: m["to"] == v, "From": lambda m, v: m["from"] == v,
            "DateSent": lambda m, v: sent(m) == day(v),
            "DateSent<": lambda m, v: sent(m) <= day(v), "DateSent>": lambda m, v: sent(m) >= day(v),
        }
        for name, value in query.items():
            if name in tests:
                found = [m for m in found if tests[name](m, value)]
        size, page = int(query.get("PageSize", 50)), int(query.get("Page", 0))
        shown = found[page * size:(page + 1) * size]

        def link(number):
            rest = [(k, v) for k, v in query.items() if k not in ("PageSize", "Page")]
            return request.path + "?" + urllib.parse.urlencode([*rest, ("PageSize", size), ("Page", number)])

        self.note(request, verdict="accepted", status=200, found=len(shown))
        return self.answer(request, 200, {
            "messages": shown, "page": page, "page_size": size, "start": page * size,
            "end": page * size + max(len(shown) - 1, 0), "uri": link(page), "first_page_uri": link(0),
            "previous_page_uri": link(page - 1) if page else None,
            "next_page_uri": link(page + 1) if (page + 1) * size < len(found) else None,
        })

    def refuse(self, request, status, code, reasons, fault=None):
        self.note(request, verdict="fault" if fault else "refused", status=status, code=code, reasons=reasons, fault=fault)
        self.send(status, {"code": code, "message": "; ".join(reasons), "status": status,
                           "more_info": f"https://www.twilio.com/docs/errors/{code}"})

    def answer(self, request, status, body):
        try:
            JUDGE.validate_response(request, Answer(status, body))
        except Exception as error:  # our own fault: say so loudly, a client must not learn from a wrong answer
            self.note(request, verdict="broken", reasons=causes(error))
            return self.send(599, {"message": "the stand-in broke the document: " + "; ".join(causes(error))})
        return self.send(status, body)

    def send(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def note(self, request, **more):
        form = dict(pairs_of(request.body)) if "urlencoded" in request.content_type else None
        line = {"time": time.time(), "method": request.method.upper(), "path": self.path, "form": form,
                **{k: v for k, v in more.items() if v is not None}}
        with self.lock, open(os.path.join(self.folder, "requests.jsonl"), "a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def log_message(self, format, *args):
        pass


def main():
    Twilio.folder = sys.argv[1]
    os.makedirs(os.path.join(Twilio.folder, "fault"), exist_ok=True)
    open(os.path.join(Twilio.folder, "requests.jsonl"), "a", encoding="utf-8").close()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Twilio)
    env = {
        "TWILIO_BASE_URL": f"http://127.0.0.1:{server.server_port}", "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN, "TWILIO_PHONE_NUMBER": SENDER,
        "TWILIO_REQUESTS": os.path.join(Twilio.folder, "requests.jsonl"),
        "TWILIO_FAULTS": os.path.join(Twilio.folder, "fault"),
    }
    with open(os.path.join(Twilio.folder, "env.new"), "w", encoding="utf-8") as file:
        file.writelines(f"{key}={value}\n" for key, value in env.items())
    os.replace(os.path.join(Twilio.folder, "env.new"), os.path.join(Twilio.folder, "env"))
    server.serve_forever()


if __name__ == "__main__":
    main()
