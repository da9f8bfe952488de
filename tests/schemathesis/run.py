"""Holds the API against its own description: schemathesis asks every operation whatever the description allows and
much that it does not, of a coordinator with TLS and tokens, a finished run and an open one.

    run.py MUSTER SCHEMATHESIS

It prints how often each operation gave each status, and fails when schemathesis finds a fault or when a GET never
gave what it is for.
"""

import base64
import collections
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

MUSTER, SCHEMATHESIS = sys.argv[1:3]
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,unsupported_method,ignored_auth"
)
# A stream of events has no end that a client of this kind waits for.
EXCLUDED = ["/v1/events"]
NOTHING = {}

children = []


def start(*arguments, **options):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MUSTER_")}
    environment["MUSTER_LOG"] = "warn"
    child = subprocess.Popen([MUSTER, *arguments], env=environment, stdout=subprocess.PIPE, text=True, **options)
    children.append(child)
    return child


def ask(base, path, body=None, token=None, trust=None):
    """The answer's JSON, or its bytes; a refusal is None."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(base + path, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=30, context=trust) as answer:
            whole = answer.read()
            return json.loads(whole) if "json" in answer.headers["Content-Type"] else whole
    except urllib.error.HTTPError as refusal:
        print(f"{path}: {refusal.code} {refusal.read().decode()}")
        return None


def wait(what, found, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.1)
    sys.exit(f"{what}: not within {seconds} s")


def plan(goal, rounds, deadline_ms):
    return {
        "strategy": {"name": "fedavg", "server_learning_rate": 1.0, "weighting": "samples"},
        "rounds": rounds,
        "cohort": {"goal": goal, "quorum": goal, "over_selection": 1.0, "deadline_ms": deadline_ms, "attempts_max": 100},
        "local": {"samples": 1, "evaluate_samples": 1},
        "seed": 1,
    }


def an_artifact():
    """The first version of the demo's model."""
    demo = start("demo", "--nodes", "1", "--rounds", "1", "--keep", stderr=subprocess.STDOUT)
    for line in demo.stdout:
        kept = re.search(r"running at (http://\S+?);", line)
        if kept:
            artifact = ask(kept[1], "/v1/models/navigation/versions/1/artifact")
            demo.terminate()
            demo.wait()
            return base64.b64encode(artifact).decode()
    sys.exit("the demo ended")


class Coordinator:
    """A coordinator with a certificate, that asks for tokens, and the tokens of those who ask."""

    def __init__(self, work):
        self.ca = f"{work}/ca.pem"
        files = ["--cert", f"{work}/cert.pem", "--key", f"{work}/key.pem", "--ca", self.ca]
        if start("config", "certificate", "--name", "127.0.0.1", *files).wait() != 0:
            sys.exit("there is no certificate")
        self.trust = ssl.create_default_context(cafile=self.ca)
        listen = ["--http-listen", "127.0.0.1:0", "--grpc-listen", "127.0.0.1:0"]
        tls = ["--tls-cert", f"{work}/cert.pem", "--tls-key", f"{work}/key.pem"]
        serve = start("serve", "--data-dir", f"{work}/data", "--auth", "tokens", *tls, *listen)
        self.http, self.grpc = (serve.stdout.readline().split()[-1] for _ in range(2))
        assert self.http.startswith("https://") and self.grpc.startswith("https://"), (self.http, self.grpc)
        self.token = None
        wait("the coordinator", lambda: self.ask("/readyz"))
        with open(f"{work}/data/admin.token") as file:
            self.token = file.read().strip()
        self.kept = {}
        for name, scope in [("keeper", "admin"), ("admin", "admin"), ("read", "read")]:
            made = self.ask("/v1/tokens", {"name": name, "scope": scope})
            self.kept[name] = (made["id"], made["token"])
        # The first one may be revoked by whoever tries it.
        self.token = self.kept["keeper"][1]

    def ask(self, path, body=None):
        return ask(self.http, path, body, self.token, self.trust)


def a_node(work, coordinator, name, enrol):
    options = ["--state", f"{work}/{name}", "--name", name, "--data", "navigation", "--enrol-token", enrol]
    return start("node", "--coordinator", coordinator.grpc, "--ca-file", coordinator.ca, *options)


def prepare(work):
    """A coordinator with a run that is over, and an open one of whose round one of two nodes was counted."""
    artifact = an_artifact()
    coordinator = Coordinator(work)
    for name in ["cues", "open"]:
        assert coordinator.ask("/v1/models", {"name": name, "artifact": artifact})
    assert coordinator.ask("/v1/models/cues/channels", {"name": "canary", "version": 1})
    enrol = {"name": "line-3", "labels": {"site": "ams"}, "uses_max": 2}
    enrol = coordinator.ask("/v1/enrolment-tokens", enrol)["token"]
    nodes = [a_node(work, coordinator, name, enrol) for name in ["ams-1", "ams-2"]]
    done = coordinator.ask("/v1/runs", {"model": "cues", "plan": plan(2, 2, 600_000)})["id"]
    wait("the finished run", lambda: coordinator.ask(f"/v1/runs/{done}")["state"] == "completed")
    # One of the two falls asleep, and the round waits for it.
    nodes[1].send_signal(signal.SIGSTOP)
    open_run = {"model": "open", "plan": plan(2, 1_000, 3_600_000)}
    run = coordinator.ask("/v1/runs", open_run)["id"]
    wait("the open round", lambda: (coordinator.ask(f"/v1/runs/{run}")["round"] or {}).get("updates") == 1)
    return coordinator, open_run


def keep_open(coordinator, open_run, over):
    """Some of what is asked cancels and pauses runs: makes the open one again."""
    while not over.wait(0.5):
        lives = False
        for state in ["waiting", "running", "paused"]:
            runs = coordinator.ask(f"/v1/runs?model={open_run['model']}&state={state}&limit=1")
            for run in runs["items"]:
                lives = True
                if state == "paused":
                    coordinator.ask(f"/v1/runs/{run['id']}/resume", NOTHING)
        if not lives:
            coordinator.ask("/v1/runs", open_run)


def operations(document):
    """Pairs of a pattern of whole requests (`GET /v1/runs/7`) and the operation's name."""
    found = []
    for path, item in document["paths"].items():
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]*", re.escape(path))
        methods = [method.upper() for method in item if method in ("get", "post", "put", "patch", "delete")]
        found += [(re.compile(f"{method} {pattern}"), f"{method} {path}") for method in methods]
    return found


def count(har, known, told):
    for entry in json.load(open(har))["log"]["entries"]:
        path = re.sub(r"^\w+://[^/]*", "", entry["request"]["url"]).split("?")[0]
        asked = f"{entry['request']['method']} {path}"
        name = next((name for pattern, name in known if pattern.fullmatch(asked)), "others")
        told[name][entry["response"]["status"]] += 1


def describe(coordinator, work):
    """The description, with the digest of an artifact that is there as an example, as ids and names have theirs."""
    document = coordinator.ask("/openapi.json")
    digest = coordinator.ask("/v1/models/cues")["latest_digest"]
    for parameter in document["paths"]["/v1/artifacts/{digest}"]["get"]["parameters"]:
        if parameter["name"] == "digest":
            parameter["example"] = digest
    with open(f"{work}/openapi.json", "w") as file:
        json.dump(document, file)
    return document


def hold(coordinator, who, work):
    """Lets schemathesis ask as `who`: the process."""
    command = [SCHEMATHESIS, "run", f"{work}/openapi.json", "--url", coordinator.http, "--no-color"]
    command += ["--tls-verify", coordinator.ca]
    command += ["--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "50", "--seed", "1"]
    command += ["--checks", CHECKS, "--generation-database", "none", "--continue-on-failure"]
    command += ["--suppress-health-check", "all", "--warnings", "off"]
    command += ["--report", "har", "--report-har-path", f"{work}/{who}.har"]
    # A token may ask 100 times a second.
    command += ["--rate-limit", "90/s"]
    command += [part for path in EXCLUDED for part in ("--exclude-path", path)]
    if who in coordinator.kept:
        command += ["--header", f"Authorization: Bearer {coordinator.kept[who][1]}"]
    kept = ",".join(str(number) for number, _ in coordinator.kept.values())
    hooks = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hooks.py")
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": hooks, "KEPT_TOKENS": kept}
    output = open(f"{work}/{who}.log", "w")
    return subprocess.Popen(command, cwd=work, env=environment, stdout=output, stderr=subprocess.STDOUT)


def main():
    begin = time.monotonic()
    told = collections.defaultdict(collections.Counter)
    failed = []
    with tempfile.TemporaryDirectory() as work:
        try:
            coordinator, open_run = prepare(work)
            known = operations(describe(coordinator, work))
            over = threading.Event()
            keeper = threading.Thread(target=keep_open, args=(coordinator, open_run, over))
            keeper.start()
            try:
                asking = {who: hold(coordinator, who, work) for who in ["admin", "read", "nobody"]}
                children.extend(asking.values())
                for who, process in asking.items():
                    if process.wait() != 0:
                        failed.append(who)
                    print(f"=== {who}, after {time.monotonic() - begin:.0f} s")
                    print(open(f"{work}/{who}.log").read(), flush=True)
                    count(f"{work}/{who}.har", known, told)
            finally:
                over.set()
                keeper.join()
        finally:
            for child in children:
                child.kill()
                child.wait()
    for name, statuses in sorted(told.items()):
        print(f"{name:70} " + "  ".join(f"{status}: {times}" for status, times in sorted(statuses.items())))
    gets = [name for _, name in known if name.startswith("GET") and name.split()[1] not in EXCLUDED]
    silent = [name for name in gets if not any(200 <= status < 300 for status in told[name])]
    if silent:
        print("never answered with 2xx:", ", ".join(silent))
    if failed:
        print("schemathesis found faults as", ", ".join(failed))
    sys.exit(1 if silent or failed else 0)


main()
