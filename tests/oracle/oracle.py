#!/usr/bin/env python3
"""Random programs against DuckDB.

    oracle.py FLOW [--programs N] [--seed S] [--seconds T] [--keep]

Makes random queries over streams and a table with updates, runs each with FLOW (random epochs, one
worker and four), folds the changes that come out, and compares them with DuckDB's answer over the
same input; then the same with a prefix of the input. Integers, decimals and texts must be equal,
floats within 1e-9. Prints what differs, with the seed that makes it again; exit status 1 then.
"""

import argparse
import collections
import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

import duckdb

DECLARATIONS = """
CREATE STREAM a (k INT, x INT, s STRING) WITH ('connector' = 'file', 'path' = '{dir}/a.jsonl', 'format' = 'json');
CREATE STREAM b (k INT, y INT, t STRING) WITH ('connector' = 'file', 'path' = '{dir}/b.jsonl', 'format' = 'json');
CREATE TABLE c (id INT NOT NULL, z INT, u STRING, PRIMARY KEY (id) NOT ENFORCED)
WITH ('connector' = 'file', 'path' = '{dir}/c.jsonl', 'format' = 'json');
CREATE STREAM o WITH ('connector' = 'file', 'path' = '{dir}/o.jsonl', 'format' = 'debezium-json');
SET 'epoch.max.records' = '{cut}';
INSERT INTO o {query};
"""
BASES = {"a": ["k", "x", "s"], "b": ["k", "y", "t"], "c": ["id", "z", "u"]}
INT, TEXT = "int", "text"


class Relation:
    """A query, and its columns: name to type."""

    def __init__(self, sql, columns):
        self.sql, self.columns = sql, columns

    def of(self, kind):
        return [name for name, ty in self.columns.items() if ty == kind]


class Programs:
    """Makes random queries."""

    def __init__(self, rng):
        self.rng, self.names = rng, 0

    def name(self):
        self.names += 1
        return f"c{self.names}"

    def base(self):
        table = self.rng.choice(list(BASES))
        names = [self.name() for _ in range(3)]
        items = ", ".join(f"{c} AS {n}" for c, n in zip(BASES[table], names))
        columns = dict(zip(names, [INT, INT, TEXT]))
        return Relation(f"SELECT {items} FROM {table}", columns)

    def relation(self, depth):
        if depth == 0:
            return self.base()
        makers = [self.filter, self.join, self.join, self.aggregate, self.aggregate, self.set_op,
                  self.distinct, self.subquery, self.subquery, self.value, self.top, self.lateral,
                  self.compute, self.over]
        return self.rng.choice(makers)(depth - 1)

    def table(self, depth):
        made = self.relation(depth)
        self.names += 1
        return made, f"t{self.names}"

    def number(self, alias, relation):
        names = relation.of(INT)
        return f"{alias}.{self.rng.choice(names)}" if names else "1"

    def predicate(self, alias, relation):
        r = self.rng
        texts = relation.of(TEXT)
        options = [
            f"{self.number(alias, relation)} {r.choice(['<', '<=', '>', '<>', '='])} {r.randint(-3, 4)}",
            f"{self.number(alias, relation)} + {r.randint(-2, 2)} > {self.number(alias, relation)}",
            f"{self.number(alias, relation)} IS NOT NULL",
            f"({self.number(alias, relation)} > 0 OR {self.number(alias, relation)} IS NULL)",
        ]
        if texts:
            text = f"{alias}.{r.choice(texts)}"
            options += [f"{text} = '{r.choice('abd')}'", f"{text} IS NULL", f"{text} IN ('a', 'c')"]
        return r.choice(options)

    def filter(self, depth):
        made, t = self.table(depth)
        return Relation(f"SELECT * FROM ({made.sql}) AS {t} WHERE {self.predicate(t, made)}", made.columns)

    def compute(self, depth):
        made, t = self.table(depth)
        columns = dict(made.columns)
        name = self.name()
        columns[name] = INT
        value = self.rng.choice([
            f"COALESCE({self.number(t, made)}, 7)",
            f"CASE WHEN {self.predicate(t, made)} THEN {self.number(t, made)} ELSE 0 END",
            f"ABS({self.number(t, made)}) + 1",
        ])
        return Relation(f"SELECT {t}.*, {value} AS {name} FROM ({made.sql}) AS {t}", columns)

    def join(self, depth):
        (left, l), (right, r) = self.table(depth), self.table(self.rng.randint(0, depth))
        kind = self.rng.choice(["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "SEMI JOIN", "ANTI JOIN"])
        on = f"{self.number(l, left)} = {self.number(r, right)}"
        if self.rng.random() < 0.3 and kind != "FULL JOIN":
            on += f" AND {self.number(l, left)} < {self.number(r, right)}"
        columns = dict(left.columns)
        items = [f"{l}.{n}" for n in left.columns]
        if kind not in ("SEMI JOIN", "ANTI JOIN"):
            columns.update(right.columns)
            items += [f"{r}.{n}" for n in right.columns]
        sql = f"SELECT {', '.join(items)} FROM ({left.sql}) AS {l} {kind} ({right.sql}) AS {r} ON {on}"
        return Relation(sql, columns)

    def aggregate(self, depth):
        made, t = self.table(depth)
        r = self.rng
        keys = r.sample(list(made.columns), min(len(made.columns), r.randint(0, 2)))
        columns, items = {}, []
        for key in keys:
            name = self.name()
            columns[name] = made.columns[key]
            items.append(f"{t}.{key} AS {name}")
        for _ in range(r.randint(1, 3)):
            name, x = self.name(), self.number(t, made)
            call = r.choice(["COUNT(*)", f"COUNT({x})", f"SUM({x})", f"MIN({x})", f"MAX({x})",
                             f"COUNT(DISTINCT {x})", f"SUM({x}) FILTER (WHERE {self.predicate(t, made)})"])
            columns[name] = INT
            items.append(f"{call} AS {name}")
        group = f" GROUP BY {', '.join(f'{t}.{k}' for k in keys)}" if keys else ""
        having = f" HAVING COUNT(*) > {r.randint(0, 2)}" if keys and r.random() < 0.3 else ""
        return Relation(f"SELECT {', '.join(items)} FROM ({made.sql}) AS {t}{group}{having}", columns)

    def set_op(self, depth):
        (left, l), (right, r) = self.table(depth), self.table(depth)
        width = self.rng.randint(1, 2)
        op = self.rng.choice(["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL"])
        columns = {self.name(): INT for _ in range(width)}
        one = ", ".join(f"{self.number(l, left)} AS {n}" for n in columns)
        two = ", ".join(self.number(r, right) for _ in columns)
        sql = f"SELECT {one} FROM ({left.sql}) AS {l} {op} SELECT {two} FROM ({right.sql}) AS {r}"
        self.names += 1
        return Relation(f"SELECT * FROM ({sql}) AS t{self.names}", columns)

    def distinct(self, depth):
        made, t = self.table(depth)
        names = self.rng.sample(list(made.columns), self.rng.randint(1, len(made.columns)))
        items = ", ".join(f"{t}.{n}" for n in names)
        return Relation(f"SELECT DISTINCT {items} FROM ({made.sql}) AS {t}",
                        {n: made.columns[n] for n in names})

    def subquery(self, depth):
        (made, t), (inner, i) = self.table(depth), self.table(0)
        r = self.rng
        outer, own = self.number(t, made), self.number(i, inner)
        correlated = f" WHERE {i}.{r.choice(inner.of(INT))} {r.choice(['=', '=', '<'])} {self.number(t, made)}"
        where = correlated if r.random() < 0.6 else ""
        source = f"FROM ({inner.sql}) AS {i}{where}"
        asked = r.choice([
            f"{outer} IN (SELECT {own} {source})", f"{outer} NOT IN (SELECT {own} {source})",
            f"EXISTS (SELECT 1 {source})", f"NOT EXISTS (SELECT 1 {source})",
            f"{outer} > (SELECT MIN({own}) {source})", f"{outer} <= (SELECT COUNT(*) {source})",
            f"{outer} >= ALL (SELECT {own} {source})", f"{outer} < ANY (SELECT {own} {source})",
            f"({outer} IN (SELECT {own} {source}) OR {self.predicate(t, made)})",
        ])
        return Relation(f"SELECT * FROM ({made.sql}) AS {t} WHERE {asked}", made.columns)

    def value(self, depth):
        (made, t), (inner, i) = self.table(depth), self.table(0)
        name, own = self.name(), self.number(i, inner)
        where = f" WHERE {i}.{self.rng.choice(inner.of(INT))} = {self.number(t, made)}"
        call = self.rng.choice([f"MAX({own})", f"COUNT({own})", f"SUM({own})", "COUNT(*) + 1"])
        sql = f"SELECT {t}.*, (SELECT {call} FROM ({inner.sql}) AS {i}{where}) AS {name} FROM ({made.sql}) AS {t}"
        return Relation(sql, {**made.columns, name: INT})

    def lateral(self, depth):
        (made, t), (inner, i) = self.table(depth), self.table(0)
        self.names += 1
        l, name = f"t{self.names}", self.name()
        own = self.rng.choice(inner.of(INT))
        where = f"{i}.{self.rng.choice(inner.of(INT))} = {self.number(t, made)}"
        sql = (f"SELECT {t}.*, {l}.{name} FROM ({made.sql}) AS {t} LEFT JOIN LATERAL "
               f"(SELECT {i}.{own} AS {name} FROM ({inner.sql}) AS {i} WHERE {where}) AS {l} ON TRUE")
        return Relation(sql, {**made.columns, name: INT})

    def order(self, alias, columns):
        r = self.rng
        way = lambda: r.choice(["ASC", "DESC"]) + " NULLS " + r.choice(["FIRST", "LAST"])
        return ", ".join(f"{alias}.{n} {way()}" for n in r.sample(list(columns), len(columns)))

    def top(self, depth):
        made, t = self.table(depth)
        r = self.rng
        if r.random() < 0.4:
            cut = f"LIMIT {r.randint(1, 6)}" + (f" OFFSET {r.randint(1, 3)}" if r.random() < 0.4 else "")
            sql = f"SELECT * FROM ({made.sql}) AS {t} ORDER BY {self.order(t, made.columns)} {cut}"
            self.names += 1
            return Relation(f"SELECT * FROM ({sql}) AS t{self.names}", made.columns)
        key = r.choice(list(made.columns))
        items = ", ".join(f"{t}.{n}" for n in made.columns)
        self.names += 1
        n = f"t{self.names}"
        sql = (f"SELECT {', '.join(f'{n}.{c}' for c in made.columns)} FROM (SELECT {items}, ROW_NUMBER() "
               f"OVER (PARTITION BY {t}.{key} ORDER BY {self.order(t, made.columns)}) AS rn "
               f"FROM ({made.sql}) AS {t}) AS {n} WHERE {n}.rn <= {r.randint(1, 3)}")
        return Relation(sql, made.columns)

    def over(self, depth):
        made, t = self.table(depth)
        r, name = self.rng, self.name()
        key, x = r.choice(list(made.columns)), self.number(t, made)
        frame = r.choice(["", "ROWS BETWEEN 2 PRECEDING AND CURRENT ROW",
                          "ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING"])
        call = r.choice([f"SUM({x})", "COUNT(*)", f"MAX({x})", f"MIN({x})"])
        window = f"PARTITION BY {t}.{key} ORDER BY {self.order(t, made.columns)} {frame}"
        if r.random() < 0.3:
            call, window = "RANK()", f"PARTITION BY {t}.{key} ORDER BY {self.order(t, made.columns)}"
        sql = f"SELECT {t}.*, {call} OVER ({window}) AS {name} FROM (SELECT DISTINCT * FROM ({made.sql}) AS d{t}) AS {t}"
        return Relation(sql, {**made.columns, name: INT})


def inputs(rng):
    maybe = lambda lo, hi: None if rng.random() < 0.15 else rng.randint(lo, hi)
    text = lambda letters: rng.choice([*letters, None])
    count = rng.choice([0, 5, 20, 40])
    return {
        "a": [{"k": maybe(0, 4), "x": maybe(-4, 5), "s": text("abc")} for _ in range(count)],
        "b": [{"k": maybe(0, 4), "y": maybe(-4, 5), "t": text("abd")} for _ in range(count // 2)],
        "c": [{"id": rng.randint(0, 6), "z": maybe(-3, 4), "u": text("ad")} for _ in range(count)],
    }


def plain(value):
    if isinstance(value, bool) or value is None or isinstance(value, (int, str)):
        return value
    number = float(value)
    return int(number) if number.is_integer() else number


def answer(query, rows):
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    for table, (first, second, third) in BASES.items():
        connection.execute(f"CREATE TABLE {table} ({first} INT, {second} INT, {third} VARCHAR)")
        kept = rows[table]
        if table == "c":
            kept = list({row["id"]: row for row in kept}.values())
        for row in kept:
            connection.execute(f"INSERT INTO {table} VALUES (?, ?, ?)", list(row.values()))
    found = connection.execute(query).fetchall()
    return collections.Counter(tuple(plain(v) for v in row) for row in found)


def flow(command, query, rows, cut, workers, folder):
    for table, records in rows.items():
        with open(f"{folder}/{table}.jsonl", "w") as out:
            out.writelines(json.dumps(record) + "\n" for record in records)
    with open(f"{folder}/p.flow", "w") as out:
        out.write(DECLARATIONS.format(dir=folder, cut=cut, query=query))
    for old in ("o.jsonl", "state"):
        path = f"{folder}/{old}"
        shutil.rmtree(path) if os.path.isdir(path) else os.path.exists(path) and os.remove(path)
    arguments = [command, "run", f"{folder}/p.flow", "--parallelism", str(workers), "--state-dir", f"{folder}/state"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        return None, done.stderr
    net = collections.Counter()
    with open(f"{folder}/o.jsonl") as out:
        for line in out:
            change = json.loads(line)
            for side, weight in (("before", -1), ("after", 1)):
                if change.get(side) is not None:
                    net[tuple(plain(v) for v in change[side].values())] += weight
    return net, done.stderr


def close(left, right):
    if isinstance(left, float) or isinstance(right, float):
        both = isinstance(left, (int, float)) and isinstance(right, (int, float))
        return both and math.isclose(left, right, rel_tol=1e-9)
    return left == right


def same(net, expected):
    if any(weight < 0 for weight in net.values()):
        return False
    order = lambda row: tuple((v is None, isinstance(v, str), v or 0) if not isinstance(v, str) else (False, True, v) for v in row)
    left, right = (sorted(bag.elements(), key=order) for bag in (net, expected))
    return len(left) == len(right) and all(
        len(l) == len(r) and all(map(close, l, r)) for l, r in zip(left, right))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("flow")
    parser.add_argument("--programs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=math.inf)
    parser.add_argument("--keep", action="store_true", help="leave the files of what differs")
    options = parser.parse_args()
    began, counts = time.time(), collections.Counter()
    folder = tempfile.mkdtemp()
    for seed in range(options.seed, options.seed + options.programs):
        if time.time() - began > options.seconds:
            break
        rng = random.Random(seed)
        made = Programs(rng).relation(rng.randint(1, 3))
        rows = inputs(rng)
        prefix = {table: records[: len(records) // 2] for table, records in rows.items()}
        runs = [(rows, rng.choice([1, 3, 1000]), 1), (rows, rng.choice([2, 7]), 4), (prefix, 4, 1)]
        try:
            expected = [answer(made.sql, given) for given, _, _ in runs]
        except duckdb.Error:
            counts["not answered by DuckDB"] += 1
            continue
        for (given, cut, workers), wanted in zip(runs, expected):
            net, told = flow(options.flow, made.sql, given, cut, workers, folder)
            if net is not None and same(net, wanted):
                counts["runs"] += 1
                continue
            counts["differ"] += 1
            print(f"seed {seed}, epochs of {cut}, {workers} workers:\n{made.sql}\n")
            if net is None:
                print(told)
            else:
                net.subtract(wanted)
                print("too many or too few:", {row: n for row, n in net.items() if n}, "\n")
            if options.keep:
                folder = tempfile.mkdtemp()
            break
        else:
            counts["programs"] += 1
    print(dict(counts), f"{time.time() - began:.0f} s")
    sys.exit(1 if counts["differ"] or not counts["programs"] else 0)


if __name__ == "__main__":
    main()
