"""Holds the API against its own description: schemathesis asks every operation whatever the description allows and
much that it does not, of a coordinator with a finished run and an open one.

    run.py MUSTER SCHEMATHESIS

It prints how often each operation gave each status, and fails when schemathesis finds a fault or when a GET never
gave what it is for.
"""

import base64
import collections
import json
import os
import re
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


def ask(base, path, body=None):
    """The answer's JSON, or its bytes; a refusal is None."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(base + path, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
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


def an_artifact(work):
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


def a_coordinator(work):
    serve = start("serve", "--data-dir", f"{work}/data", "--http-listen", "127.0.0.1:0", "--grpc-listen", "127.0.0.1:0")
    http, grpc = (serve.stdout.readline().split()[-1] for _ in range(2))
    wait("the coordinator", lambda: ask(http, "/readyz"))
    return http, grpc


def a_node(work, grpc, name):
    return start(
        "node", "--coordinator", grpc, "--state", f"{work}/{name}", "--name", name, "--label", "site=ams", "--data", "navigation"
    )


def prepare(work):
    """A coordinator with a run that is over, and one with an open round in which one of two nodes was counted."""
    artifact = an_artifact(work)
    http, grpc = a_coordinator(work)
    for name in ["cues", "open"]:
        assert ask(http, "/v1/models", {"name": name, "artifact": artifact})
    nodes = [a_node(work, grpc, name) for name in ["ams-1", "ams-2"]]
    done = ask(http, "/v1/runs", {"model": "cues", "plan": plan(2, 2, 600_000)})["id"]
    wait("the finished run", lambda: ask(http, f"/v1/runs/{done}")["state"] == "completed")
    nodes[1].terminate()
    nodes[1].wait()
    open_run = {"model": "open", "plan": plan(1, 1_000_000, 600_000)}
    assert ask(http, "/v1/runs", open_run)
    wait("the open run", lambda: ask(http, "/v1/runs/2")["round"])
    return http, open_run


def keep_open(http, open_run, over):
    """Some of what is asked cancels and pauses runs: makes the open one again."""
    while not over.wait(0.5):
        lives = False
        for state in ["waiting", "running", "paused"]:
            for run in ask(http, f"/v1/runs?model={open_run['model']}&state={state}&limit=1")["items"]:
                lives = True
                if state == "paused":
                    ask(http, f"/v1/runs/{run['id']}/resume", NOTHING)
        if not lives:
            ask(http, "/v1/runs", open_run)


def operations(http):
    """Pairs of a pattern of whole requests (`GET /v1/runs/7`) and the operation's name."""
    found = []
    for path, item in ask(http, "/openapi.json")["paths"].items():
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


def main():
    with tempfile.TemporaryDirectory() as work:
        try:
            http, open_run = prepare(work)
            known = operations(http)
            over = threading.Event()
            keeper = threading.Thread(target=keep_open, args=(http, open_run, over))
            keeper.start()
            failed = []
            told = collections.defaultdict(collections.Counter)
            for who, headers in [("no token", [])]:
                begin = time.monotonic()
                har = f"{work}/{who}.har"
                command = [SCHEMATHESIS, "run", f"{http}/openapi.json", "--no-color", "--report", "har"]
                command += ["--report-har-path", har, "--phases", "examples,coverage,fuzzing,stateful"]
                command += ["--max-examples", "50", "--seed", "1", "--checks", CHECKS, "--generation-database", "none"]
                command += ["--continue-on-failure", "--suppress-health-check", "all", "--warnings", "off"]
                command += [part for path in EXCLUDED for part in ("--exclude-path", path)]
                command += [part for header in headers for part in ("--header", header)]
                if subprocess.run(command, cwd=work).returncode != 0:
                    failed.append(who)
                print(f"{who}: {time.monotonic() - begin:.0f} s")
                count(har, known, told)
            over.set()
            keeper.join()
        finally:
            for child in children:
                child.kill()
        for name, statuses in sorted(told.items()):
            print(f"{name:70} " + "  ".join(f"{status}: {times}" for status, times in sorted(statuses.items())))
        silent = [
            name for _, name in known
            if name.startswith("GET") and name.split()[1] not in EXCLUDED and not any(200 <= s < 300 for s in told[name])
        ]
        if silent:
            print("never answered with 2xx:", ", ".join(silent))
        sys.exit(f"schemathesis found faults with {', '.join(failed)}" if failed else bool(silent))


main()
