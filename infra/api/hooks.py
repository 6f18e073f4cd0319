"""What schemathesis can't know of the service: hooks for `make test-api`.

The contract leaves open what a dataset has; here it is closed for `users`, so that requests made of it are right, and those
that break it are wrong. Ids are those of real exports. What no schema can say (a bound below another, a name that fits the
compression) is set right before a request is sent. Nothing here touches what schemathesis broke on purpose.
"""

import datetime
import json
import os
import re
import subprocess
import threading

import requests
import schemathesis
from schemathesis.core.parameters import ParameterLocation

BASE = os.environ["TEST_API_URL"]
COLUMNS = ["id", "name", "email", "signup_date", "country_code", "subscription_tier", "lifetime_value"]

session = requests.Session()
session.headers["Authorization"] = "Bearer " + os.environ["TEST_API_TOKEN"]
lock = threading.Lock()
given = set()  # ids that the service gave


# --- Exports in every state ---


def create(body="{}"):
    answer = session.post(BASE + "/exports/csv", data=body, headers={"Content-Type": "application/json"}, timeout=30)
    answer.raise_for_status()
    return answer.json()["exportId"]


def finished(status_url):
    for _ in range(600):
        status = session.get(status_url, timeout=30).json()
        if status["done"]:
            return status["status"]
        threading.Event().wait(0.1)
    raise TimeoutError(status_url)


def completed(body="{}"):
    export = create(body)
    if (status := finished(f"{BASE}/exports/{export}/status")) != "completed":
        raise RuntimeError(f"export {export} is {status}")
    return export


def removed(export):
    session.delete(f"{BASE}/exports/{export}", timeout=30).raise_for_status()
    return export


def sql(statement):
    command = [os.environ["TEST_API_PSQL"], "--no-psqlrc", "--quiet", "--dbname", os.environ["TEST_API_DATABASE_URL"], "--command", statement]
    subprocess.run(command, check=True, env={})


def failed():
    """An export that Postgres refuses, because a column is away."""
    sql("ALTER TABLE users RENAME COLUMN email TO away")
    try:
        export = create()
        if (status := finished(f"{BASE}/exports/{export}/status")) != "failed":
            raise RuntimeError(f"export {export} is {status}")
    finally:
        sql("ALTER TABLE users RENAME COLUMN away TO email")
    return export


class Fixtures:
    """Ids by what became of the export. No request deletes these."""

    def __init__(self):
        self.failed = [failed()]
        self.completed = [completed() for _ in range(3)]
        self.cancelled = [removed(create())]
        self.split = completed('{"maxRowsPerFile":200}')  # three files
        self.deleted = [removed(completed())]
        self.turns = {}
        self.steady = {
            "getExportStatus": self.completed[0],
            "downloadExport": self.completed[0],
            "headDownload": self.completed[0],
            "deleteExport": self.deleted[0],
            "retryExport": self.failed[0],
        }

    def turn(self, key, of):
        """The members of a list, one after the other."""
        with lock:
            at = self.turns.get(key, 0)
            self.turns[key] = at + 1
        return of[at % len(of)]


fixtures = Fixtures()

# Of which exports an operation is asked about. Most must be such that it can say yes; "new" is made for the one request.
SOURCES = {
    "getExportStatus": ["completed", "failed", "new", "cancelled", "deleted"],
    "downloadExport": ["completed", "completed", "completed", "failed", "completed", "new", "completed", "cancelled", "completed", "deleted"],
    "headDownload": ["completed", "completed", "completed", "failed", "completed", "new", "completed", "cancelled", "completed", "deleted"],
    "deleteExport": ["new", "new", "failed", "cancelled", "deleted"],
    "retryExport": ["failed", "cancelled", "failed", "cancelled", "completed", "failed", "new"],
}


def export_for(operation):
    source = fixtures.turn(operation, SOURCES[operation])
    if source == "new":
        return create()
    return fixtures.turn(source, getattr(fixtures, source))


# --- The contract, closed for the dataset users ---


@schemathesis.hook
def before_load_schema(context, schema):
    schemas = schema["components"]["schemas"]
    request = schemas["CreateRequest"]["properties"]
    request["dataset"] = {"enum": ["users"]}
    request["columns"]["items"] = {"enum": COLUMNS}
    request["destination"]["properties"]["name"] = {"enum": ["acme"]}
    request["filters"] = {"$ref": "#/components/schemas/UsersFilters"}
    schema["paths"]["/datasets/{name}"]["get"]["parameters"][0]["schema"] = {"enum": ["users"]}


# --- Requests set right ---


@schemathesis.hook
def before_call(context, case, kwargs):
    kwargs["allow_redirects"] = False  # what S3 answers isn't the service's
    meta = case.meta
    operation = case.operation.definition.raw.get("operationId")
    if meta is None or case.method.upper() != case.operation.method.upper():
        return
    # In a sequence, the same requests must get the same answers again, as far as that is in our hands: what stands in turn elsewhere is
    # one and the same there. Hypothesis gives up a sequence that it can't repeat.
    sequence = meta.phase.name.value == "stateful"
    if operation in SOURCES and not meta.is_negative_at(ParameterLocation.PATH):
        # A sequence goes on with an id that an answer had, or makes one up.
        if not sequence:
            case.path_parameters = {"id": export_for(operation)}
        elif case.path_parameters.get("id") not in given:
            case.path_parameters = {"id": fixtures.steady[operation]}
    if operation in ("downloadExport", "headDownload") and case.query and not {ParameterLocation.PATH, ParameterLocation.QUERY} & negative(meta):
        case.path_parameters = {"id": fixtures.split}  # no other export has numbered files
        case.query = {**case.query, "file": (int(case.query["file"]) - 1) % 3 + 1}
    if (key := (case.headers or {}).get("Idempotency-Key")) and not meta.is_negative_at(ParameterLocation.HEADER):
        turn = fixtures.turn("key", [1, 2, 3, 0])
        if sequence or turn:  # one in four stays, and may have been used before
            case.headers["Idempotency-Key"] = f"{key[:200]}-{fixtures.turns['key']}"
    if operation == "downloadExport" and not meta.is_negative_at(ParameterLocation.HEADER) and (sequence or fixtures.turn("accept", [True, True, True, True, False])):
        case.headers = {**(case.headers or {}), "Accept": "application/json"}
    if isinstance(case.body, dict) and not meta.is_negative_at(ParameterLocation.BODY):
        case.body = tame(case.body)
    if operation == "createWebhook":
        make_room()
    if operation == "listExports" and case.query and not meta.is_negative_at(ParameterLocation.QUERY):
        case.query = page(case.query)


@schemathesis.hook
def after_call(context, case, response):
    given.update(re.findall(r'"exportId":"([^"]*)"', (response.content or b"").decode(errors="replace")))


def negative(meta):
    return {location for location in (ParameterLocation.PATH, ParameterLocation.QUERY) if meta.is_negative_at(location)}


def make_room():
    """A caller has ten webhooks at most, and two of the same URL."""
    hooks = session.get(BASE + "/webhooks", timeout=30).json()["webhooks"]
    if len(hooks) >= 2:
        for hook in hooks:
            session.delete(f"{BASE}/webhooks/{hook['id']}", timeout=30).raise_for_status()


def page(query):
    """The same query, with a token of the list that it asks for, if there is one."""
    query = dict(query)
    if "pageToken" in query:
        del query["pageToken"]
        first = session.get(BASE + "/exports", params={**query, "pageSize": 1}, timeout=30).json()
        if first.get("nextPageToken"):
            query["pageToken"] = first["nextPageToken"]
    return query


def tame(body):
    body = json.loads(json.dumps(body))
    if "url" in body:  # exports are told to it: nothing may leave this machine
        body["url"] = "http://127.0.0.1:1/" + "".join(c for c in body["url"][8:1000] if c.isascii() and c.isalnum())
    filters = body.get("filters", {})
    for name in filters:
        if name.startswith("lifetime_value"):
            filters[name] = decimal(filters[name])
        elif name.startswith("signup_date"):
            filters[name] = time(filters[name], name.endswith("_to"))
    in_order(filters, "lifetime_value_min", "lifetime_value_max", float)
    in_order(filters, "signup_date_from", "signup_date_to", lambda text: text[:10])
    form = body.get("format", {})
    delimiter, quote = form.get("delimiter", ","), form.get("quote", '"')
    if delimiter == quote:
        form["delimiter"], form["quote"] = delimiter, quote = (";", '"')
    if "null" in form:
        form["null"] = form["null"].replace(delimiter, "").replace(quote, "")
    if "fileName" in body:
        stem = body["fileName"].removesuffix(".gz").removesuffix(".csv").encode()[:200].decode(errors="ignore").rstrip(" .")
        body["fileName"] = (stem or "x") + (".csv" if form.get("compression") == "none" else ".csv.gz")
        if len(body["fileName"]) > 120:
            body["fileName"] = body["fileName"][-120:].lstrip(" .")
    return body


def decimal(value):
    """A decimal of at most 30 digits, and a number whose JSON has no exponent."""
    if isinstance(value, str):
        return value if len(value) <= 30 else value[:20].rstrip(".")
    return round(max(-1e12, min(1e12, value)), 4)


def time(value, last):
    year = min(max(int(value[:4]), 2), 9998)
    value = f"{year:04}{value[4:]}"
    try:
        datetime.date.fromisoformat(value[:10])
        if len(value) > 10:
            datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return "2024-02-29"
    return value if "." not in value else value[:19] + "Z"


def in_order(filters, least, most, key):
    if least in filters and most in filters and key(filters[least]) > key(filters[most]):
        filters[least], filters[most] = filters[most], filters[least]
    if least in filters and most in filters and key(filters[least]) == key(filters[most]):
        filters[least] = filters[most]


# --- What is right, although a general rule says otherwise ---


@schemathesis.hook
def filter_failure(context, failure, case, response):
    kind = type(failure).__name__
    if kind == "UnsupportedMethodResponse":
        # API Gateway can't tell a method that a path doesn't have from an unknown path.
        return not (response.status_code == 404 and response.json().get("code") == "not_found")
    if kind == "UseAfterFree" and case.operation.definition.raw["operationId"] == "getExportStatus":
        # An export's record outlives its file, and says so.
        return response.json()["status"] not in ("cancelled", "deleted", "failed", "expired")
    return True
