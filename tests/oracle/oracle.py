#!/usr/bin/env python3
"""Random programs against DuckDB.

    oracle.py FLOW [--programs N] [--seed S] [--seconds T] [--kills N] [--keep]

Makes random queries over streams, a table with updates, a changelog with updates and deletes, and
windows over event time. Runs each with FLOW, one worker and four, in epochs of a few records, and
folds the changes that come out, epoch by epoch: in the end, and after some of the epochs before it,
they must come to DuckDB's answer over what the job had read by then. What waits for event time is
compared in the end only. With --kills a run is killed up to so many times, at random moments, and
started again: nothing may tell. Integers, decimals and texts must be equal, floats within 1e-9. Prints what
differs, with the seed that makes it again; exit status 1 then.
"""

import argparse
import collections
import datetime
import json
import math
import random
import shutil
import subprocess
import sys
import tempfile
import time

import duckdb

from programs import BASES, Programs

# How many epochs of a run are compared, beside the last.
EPOCHS = 3

DECLARATIONS = """
CREATE STREAM a (k INT, x INT, s STRING) WITH ('connector' = 'file', 'path' = '{dir}/a.jsonl', 'format' = 'json');
CREATE STREAM b (k INT, y INT, t STRING) WITH ('connector' = 'file', 'path' = '{dir}/b.jsonl', 'format' = 'json');
CREATE TABLE c (id INT NOT NULL, z INT, u STRING, PRIMARY KEY (id) NOT ENFORCED)
WITH ('connector' = 'file', 'path' = '{dir}/c.jsonl', 'format' = 'json');
CREATE STREAM d (k INT, v DECIMAL(8, 2), w STRING)
WITH ('connector' = 'file', 'path' = '{dir}/d.jsonl', 'format' = 'debezium-json');
CREATE STREAM e (k INT, x INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'file', 'path' = '{dir}/e.jsonl', 'format' = 'json');
CREATE VIEW tumbling AS SELECT k, x, window_start AS ws, window_end AS we
FROM TABLE(TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '10' SECOND));
CREATE VIEW hopping AS SELECT k, x, window_start AS ws, window_end AS we
FROM TABLE(HOP(TABLE e, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '10' SECOND));
CREATE VIEW cumulating AS SELECT k, x, window_start AS ws, window_end AS we
FROM TABLE(CUMULATE(TABLE e, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '20' SECOND));
CREATE VIEW sessions AS SELECT k, x, window_start AS ws, window_end AS we
FROM TABLE(SESSION(TABLE e PARTITION BY k, DESCRIPTOR(ts), INTERVAL '4' SECOND));
CREATE TABLE f (id INT NOT NULL, x INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' HOUR, PRIMARY KEY (id) NOT ENFORCED)
WITH ('connector' = 'file', 'path' = '{dir}/f.jsonl', 'format' = 'json');
CREATE VIEW changing AS SELECT id % 3 AS k, x, window_start AS ws, window_end AS we
FROM TABLE(HOP(TABLE f, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '10' SECOND));
SET 'epoch.max.records' = '{cut}';
"""
# An output, and what has been read.
SINK = """
CREATE STREAM {name} WITH ('connector' = 'kafka', 'format' = 'debezium-json', 'sink.epoch-header' = 'true');
INSERT INTO {name} {query};
"""
# The same for DuckDB.
TABLES = """
CREATE TABLE a (k INT, x INT, s VARCHAR);
CREATE TABLE b (k INT, y INT, t VARCHAR);
CREATE TABLE c (id INT, z INT, u VARCHAR);
CREATE TABLE d (k INT, v DECIMAL(8, 2), w VARCHAR);
CREATE TABLE e (k INT, x INT, ts TIMESTAMP);
CREATE VIEW tumbling AS SELECT k, x, time_bucket(INTERVAL 10 SECOND, ts) AS ws, ws + INTERVAL 10 SECOND AS we FROM e;
CREATE VIEW hopping AS SELECT k, x, time_bucket(INTERVAL 5 SECOND, ts) - back * INTERVAL 5 SECOND AS ws,
  ws + INTERVAL 10 SECOND AS we FROM e, (VALUES (0), (1)) AS windows(back);
CREATE TABLE f (id INT, x INT, ts TIMESTAMP);
CREATE VIEW changing AS SELECT id % 3 AS k, x, time_bucket(INTERVAL 5 SECOND, ts) - back * INTERVAL 5 SECOND AS ws,
  ws + INTERVAL 10 SECOND AS we FROM f, (VALUES (0), (1)) AS windows(back);
CREATE VIEW cumulating AS SELECT k, x, time_bucket(INTERVAL 20 SECOND, ts) AS ws, ws + steps * INTERVAL 5 SECOND AS we
  FROM e, (VALUES (1), (2), (3), (4)) AS windows(steps) WHERE ts < time_bucket(INTERVAL 20 SECOND, ts) + steps * INTERVAL 5 SECOND;
CREATE VIEW gaps AS SELECT *, CASE WHEN ts - lag(ts) OVER (PARTITION BY k ORDER BY ts) <= INTERVAL 4 SECOND THEN 0 ELSE 1 END AS first FROM e;
CREATE VIEW islands AS SELECT *, SUM(first) OVER (PARTITION BY k ORDER BY ts) AS island FROM gaps;
CREATE VIEW sessions AS SELECT k, x, MIN(ts) OVER (PARTITION BY k, island) AS ws,
  MAX(ts) OVER (PARTITION BY k, island) + INTERVAL 4 SECOND AS we FROM islands;
"""


def changelog(rng, rows):
    """Changes that insert, update and delete rows like these."""
    kept, changes = [], []
    for row in rows:
        at = rng.randrange(len(kept)) if kept else 0
        kind = rng.choice(["c", "c", "u", "d"]) if kept else "c"
        before = None if kind == "c" else kept.pop(at)
        after = None if kind == "d" else row
        if after is not None:
            kept.append(after)
        changes.append({"before": before, "after": after, "op": kind})
    return changes


def inputs(rng):
    """Records by base."""
    maybe = lambda lo, hi: None if rng.random() < 0.15 else rng.randint(lo, hi)
    text = lambda letters: rng.choice([*letters, None])
    count = rng.choice([0, 5, 20, 40])
    begin, clock = datetime.datetime(2020, 1, 1), 0
    timed = []
    for _ in range(count):
        clock += rng.choice([0, 1, 1, 2, 7])
        # None is late: less than the watermark's five seconds behind the latest.
        ts = begin + datetime.timedelta(seconds=max(clock - rng.randint(0, 4), 0))
        timed.append({"k": maybe(0, 2), "x": maybe(-4, 5), "ts": ts.isoformat(sep=" ")})
    decimal = lambda: None if rng.random() < 0.15 else rng.randint(-16, 16) / 4
    return {
        "a": [{"k": maybe(0, 4), "x": maybe(-4, 5), "s": text("abc")} for _ in range(count)],
        "b": [{"k": maybe(0, 4), "y": maybe(-4, 5), "t": text("abd")} for _ in range(count // 2)],
        "c": [{"id": rng.randint(0, 6), "z": maybe(-3, 4), "u": text("ad")} for _ in range(count)],
        "d": changelog(rng, [{"k": maybe(0, 4), "v": decimal(), "w": text("bc")} for _ in range(count)]),
        "e": timed,
        # No window closes before the end, so that no change is late.
        "f": [{"id": rng.randint(0, 6), "x": maybe(-4, 5), "ts": row["ts"]} for row in timed],
    }


def plain(value):
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, bool) or value is None or isinstance(value, (int, str)):
        return value
    number = float(value)
    return int(number) if number.is_integer() else number


def answer(query, tables):
    """DuckDB's rows over these rows by table."""
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    connection.execute(TABLES)
    for table, rows in tables.items():
        if rows:
            connection.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", [list(row) for row in rows])
    found = connection.execute(query).fetchall()
    return collections.Counter(tuple(plain(v) for v in row) for row in found)


def changes(command, topic, folder):
    """The net rows that each epoch adds to a topic, by epoch."""
    arguments = [command, "topic", "consume", topic, "--headers", "--local", f"{folder}/log"]
    lines = subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=True).stdout
    epochs = collections.defaultdict(collections.Counter)
    for line in lines.splitlines():
        headers, change = (json.loads(part) for part in line.split("\t"))
        epoch = int(dict(headers)["flow.epoch"], 16)
        for side, weight in (("before", -1), ("after", 1)):
            if change.get(side) is not None:
                epochs[epoch][tuple(plain(v) for v in change[side].values())] += weight
    return epochs


def until(epochs, last):
    """The rows that there are after an epoch."""
    net = collections.Counter()
    for epoch, rows in epochs.items():
        if epoch <= last:
            net.update(rows)
    return net


class Failed(Exception):
    """Flow refused or stopped; its words."""


def run(arguments, kills, rng):
    """Runs a job to its end, over some deaths; how often it was killed, and its words."""
    killed = 0
    for _ in range(rng.randint(0, kills)):
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(rng.uniform(0.01, 0.5))
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed += 1
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=300)
    # It may have ended before it was killed, or before it was not.
    ended = kills and "has finished before" in done.stderr
    if done.returncode != 0 and not ended:
        raise Failed(done.stderr)
    return killed


def flow(command, program, rows, cut, workers, folder, kills, rng):
    """What a program's output and its inputs come to, by topic and epoch, and its deaths."""
    for table, records in rows.items():
        with open(f"{folder}/{table}.jsonl", "w") as out:
            out.writelines(json.dumps(record) + "\n" for record in records)
    read = [] if program.timed else list(BASES)
    sinks = {"answer": program.sql, **{f"read_{base}": f"SELECT * FROM {base}" for base in read}}
    with open(f"{folder}/p.flow", "w") as out:
        out.write(DECLARATIONS.format(dir=folder, cut=cut))
        out.writelines(SINK.format(name=name, query=query) for name, query in sinks.items())
    for old in ("log", "state"):
        shutil.rmtree(f"{folder}/{old}", ignore_errors=True)
    arguments = [command, "run", f"{folder}/p.flow", "--parallelism", str(workers),
                 "--local", f"{folder}/log", "--state-dir", f"{folder}/state"]
    killed = run(arguments, kills, rng)
    return {name: changes(command, name, folder) for name in sinks}, killed


def close(left, right):
    if isinstance(left, float) or isinstance(right, float):
        both = isinstance(left, (int, float)) and isinstance(right, (int, float))
        return both and math.isclose(left, right, rel_tol=1e-9)
    return left == right


def same(net, expected):
    if any(weight < 0 for weight in net.values()):
        return False
    kinds = lambda value: (value is None, isinstance(value, str), 0 if value is None else value)
    order = lambda row: tuple(kinds(value) for value in row)
    left, right = (sorted(bag.elements(), key=order) for bag in (net, expected))
    return len(left) == len(right) and all(
        len(l) == len(r) and all(map(close, l, r)) for l, r in zip(left, right))


def contents(rows):
    """The rows that are there when all records have been read."""
    tables = {table: [tuple(row.values()) for row in records] for table, records in rows.items()}
    for table in ("c", "f"):
        last = {row["id"]: row for row in rows[table]}
        tables[table] = [tuple(row.values()) for row in last.values()]
    net = collections.Counter()
    for change in rows["d"]:
        for side, weight in (("before", -1), ("after", 1)):
            if change[side] is not None:
                net[tuple(change[side].values())] += weight
    tables["d"] = list(net.elements())
    return tables


def difference(options, program, rows, rng, cut, workers, folder, counts):
    """What differs in one run, as text; nothing if all is as it must be."""
    try:
        out, killed = flow(options.flow, program, rows, cut, workers, folder, options.kills, rng)
    except Failed as failed:
        return str(failed)
    counts["kills"] += killed
    checks = [(math.inf, contents(rows))]
    read = [out[f"read_{base}"] for base in BASES if f"read_{base}" in out]
    epochs = sorted({epoch for topic in read for epoch in topic})
    for epoch in rng.sample(epochs, min(EPOCHS, len(epochs))):
        tables = {base: until(topic, epoch).elements() for base, topic in zip(BASES, read)}
        checks.append((epoch, {base: list(rows) for base, rows in tables.items()}))
    for epoch, tables in checks:
        net, expected = until(out["answer"], epoch), answer(program.sql, tables)
        if not same(net, expected):
            net.subtract(expected)
            rows = {row: count for row, count in net.items() if count}
            return f"too many or too few after epoch {epoch}: {rows}\n"
    return None


class Program:
    """A query, and whether it waits for event time."""

    def __init__(self, rng):
        programs = Programs(rng)
        self.sql = programs.relation(rng.randint(1, 3)).sql
        self.timed = programs.timed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("flow")
    parser.add_argument("--programs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=math.inf)
    parser.add_argument("--kills", type=int, default=0, help="times that a run is killed at most")
    parser.add_argument("--keep", action="store_true", help="leave the files of what differs")
    options = parser.parse_args()
    began, counts = time.time(), collections.Counter()
    folder = tempfile.mkdtemp()
    for seed in range(options.seed, options.seed + options.programs):
        if time.time() - began > options.seconds:
            break
        rng = random.Random(seed)
        program, rows = Program(rng), inputs(rng)
        try:
            answer(program.sql, contents(rows))
        except duckdb.Error as error:
            counts["not answered by DuckDB"] += 1
            print(f"seed {seed}: {error}", file=sys.stderr)
            continue
        for cut, workers in ((rng.choice([1, 3, 1000]), 1), (rng.choice([2, 7]), 4)):
            found = difference(options, program, rows, rng, cut, workers, folder, counts)
            if found is None:
                counts["runs"] += 1
                continue
            counts["differ"] += 1
            print(f"seed {seed}, epochs of {cut}, {workers} workers:\n{program.sql}\n\n{found}", flush=True)
            if options.keep:
                folder = tempfile.mkdtemp()
            break
        else:
            counts["programs"] += 1
            counts["with event time"] += program.timed
    shutil.rmtree(folder, ignore_errors=True)
    print(dict(counts), f"{time.time() - began:.0f} s")
    sys.exit(1 if counts["differ"] or not counts["programs"] else 0)


if __name__ == "__main__":
    main()
