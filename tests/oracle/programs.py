"""Random queries of the algebra, that Flow and DuckDB both understand."""

INT, TEXT, TIME = "int", "text", "time"

# Streams, a table and a changelog, with the columns' kinds. Decimals count as INT.
BASES = {
    "a": {"k": INT, "x": INT, "s": TEXT},
    "b": {"k": INT, "y": INT, "t": TEXT},
    "c": {"id": INT, "z": INT, "u": TEXT},
    "d": {"k": INT, "v": INT, "w": TEXT},
}
# A stream with event time, and its rows in windows; those of a table with updates are changing.
TIMED = {"e": {"k": INT, "x": INT, "ts": TIME}}
WINDOWS = ["tumbling", "hopping", "cumulating", "sessions", "changing"]
WINDOWED = {"k": INT, "x": INT, "ws": TIME, "we": TIME}


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
        # Whether rows wait for event time: then the answer is the batch's in the end only.
        self.timed = False

    def name(self):
        self.names += 1
        return f"c{self.names}"

    def base(self):
        r = self.rng
        if r.random() < 0.15:
            return r.choice([self.window, self.near])()
        return self.renamed(r.choice(list(BASES)), BASES)

    def renamed(self, table, among):
        """A base under names of its own."""
        names = {self.name(): column for column in among[table]}
        items = ", ".join(f"{c} AS {n}" for n, c in names.items())
        return Relation(f"SELECT {items} FROM {table}", {n: among[table][c] for n, c in names.items()})

    def window(self):
        """An aggregate of windows."""
        self.timed = True
        r, table = self.rng, self.rng.choice(WINDOWS)
        keys = ["k"] if table == "sessions" else r.sample(["k", "x"], r.randint(0, 1))
        columns = {self.name(): key for key in [*keys, "ws", "we"]}
        items = [f"{key} AS {name}" for name, key in columns.items()]
        columns = {name: WINDOWED[key] for name, key in columns.items()}
        for _ in range(r.randint(1, 2)):
            name = self.name()
            columns[name] = INT
            items.append(r.choice(["COUNT(*)", "SUM(x)", "MIN(x)", "MAX(x)", "COUNT(DISTINCT x)"]) + f" AS {name}")
        by = ", ".join([*keys, "ws", "we"])
        return Relation(f"SELECT {', '.join(items)} FROM {table} GROUP BY {by}", columns)

    def near(self):
        """An interval join."""
        self.timed = True
        left, right = self.renamed("e", TIMED), self.renamed("e", TIMED)
        (k, x, ts), (other_k, other_x, other_ts) = left.columns, right.columns
        kind = self.rng.choice(["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])
        low, high = sorted([self.rng.randint(-6, 6), self.rng.randint(-6, 6)])
        sql = (f"SELECT {k}, {x}, {ts}, {other_x} FROM ({left.sql}) AS l {kind} ({right.sql}) AS r "
               f"ON {k} = {other_k} AND {other_ts} BETWEEN {ts} + INTERVAL '{low}' SECOND "
               f"AND {ts} + INTERVAL '{high}' SECOND")
        return Relation(sql, {k: INT, x: INT, ts: TIME, other_x: INT})

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
        if keys and r.random() < 0.2:
            group = f" GROUP BY {r.choice(['ROLLUP', 'CUBE'])} ({', '.join(f'{t}.{k}' for k in keys)})"
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
            f"{outer} IN (SELECT {self.over_nothing(own)} {source})",
            f"{outer} < ALL (SELECT {self.over_nothing(own)} {source})",
            f"EXISTS (SELECT {self.over_nothing(own)} {source} HAVING COUNT({own}) > {r.randint(0, 1)})",
            f"({outer}, {self.number(t, made)}) IN (SELECT {own}, {self.number(i, inner)} {source})",
            f"({outer} IN (SELECT {own} {source}) OR {self.predicate(t, made)})",
        ])
        return Relation(f"SELECT * FROM ({made.sql}) AS {t} WHERE {asked}", made.columns)

    def over_nothing(self, own):
        """An aggregate that has a value without rows."""
        return self.rng.choice([f"MAX({own})", f"COUNT({own})", f"SUM({own})", "COUNT(*) + 1",
                                f"COALESCE(MIN({own}), 3)"])

    def value(self, depth):
        (made, t), (inner, i) = self.table(depth), self.table(0)
        name, own = self.name(), self.number(i, inner)
        where = f" WHERE {i}.{self.rng.choice(inner.of(INT))} {self.rng.choice(['=', '=', '<'])} {self.number(t, made)}"
        end = self.rng.choice(["", "", f" HAVING COUNT(*) <> {self.rng.randint(0, 2)}"])
        call = self.over_nothing(own)
        sql = f"SELECT {t}.*, (SELECT {call} FROM ({inner.sql}) AS {i}{where}{end}) AS {name} FROM ({made.sql}) AS {t}"
        return Relation(sql, {**made.columns, name: INT})

    def lateral(self, depth):
        (made, t), (inner, i) = self.table(depth), self.table(0)
        self.names += 1
        l, name = f"t{self.names}", self.name()
        own = self.rng.choice(inner.of(INT))
        where = f"{i}.{self.rng.choice(inner.of(INT))} = {self.number(t, made)}"
        sql = (f"SELECT {t}.*, {l}.{name} FROM ({made.sql}) AS {t} LEFT JOIN LATERAL "
               f"(SELECT {self.rng.choice([f'{i}.{own}', self.over_nothing(f'{i}.{own}')])} AS {name} "
               f"FROM ({inner.sql}) AS {i} WHERE {where}) AS {l} ON TRUE")
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
