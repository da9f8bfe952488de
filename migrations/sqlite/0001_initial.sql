-- Models, versions, runs, rounds, nodes, contributions, evaluations.
--
-- Times (`*_ms`) are wall time in milliseconds since the Unix epoch, for people; `served_ms` alone decides something and
-- counts milliseconds of serving. Digests are 32 bytes of SHA-256. Wide blobs stand in tables of their own, so that
-- touching a counter does not rewrite them. States are words; the code that reads them refuses any it does not know.

CREATE TABLE artifacts (
    digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    bytes  BLOB NOT NULL
) STRICT;

CREATE TABLE models (
    name       TEXT    NOT NULL PRIMARY KEY,
    learner    TEXT    NOT NULL,
    weights    INTEGER NOT NULL CHECK (weights > 0),
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE nodes (
    id          TEXT    NOT NULL PRIMARY KEY,
    public_key  BLOB    NOT NULL UNIQUE CHECK (length(public_key) = 32),
    labels      TEXT    NOT NULL, -- a JSON object of texts
    learners    TEXT    NOT NULL, -- a JSON array of texts
    enrolled_ms INTEGER NOT NULL,
    seen_ms     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    id           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    model        TEXT    NOT NULL REFERENCES models (name),
    plan         TEXT    NOT NULL, -- JSON, every field present
    state        TEXT    NOT NULL, -- waiting, running, completed, failed
    reason       TEXT,
    reproducible INTEGER NOT NULL CHECK (reproducible IN (0, 1)),
    base_version INTEGER NOT NULL,
    round        INTEGER NOT NULL CHECK (round > 0),   -- the live round, or the next one
    attempt      INTEGER NOT NULL CHECK (attempt > 0), -- the attempt at it
    created_ms   INTEGER NOT NULL,
    ended_ms     INTEGER
) STRICT;

-- One run at a time moves a model.
CREATE UNIQUE INDEX runs_live ON runs (model) WHERE ended_ms IS NULL;

-- A run's copy of the weights, finer than 8 bits.
CREATE TABLE masters (
    run_id INTEGER NOT NULL PRIMARY KEY REFERENCES runs (id),
    lanes  BLOB    NOT NULL
) STRICT;

CREATE TABLE rounds (
    id           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    run_id       INTEGER NOT NULL REFERENCES runs (id),
    number       INTEGER NOT NULL CHECK (number > 0),
    attempt      INTEGER NOT NULL CHECK (attempt > 0),
    state        TEXT    NOT NULL, -- open, closing, published, abandoned
    reason       TEXT,
    base_version INTEGER NOT NULL,
    version      INTEGER,
    at_deadline  INTEGER NOT NULL DEFAULT 0 CHECK (at_deadline IN (0, 1)),
    served_ms    INTEGER NOT NULL DEFAULT 0,
    cohort       INTEGER NOT NULL,
    -- Totals of the contributions.
    updates      INTEGER NOT NULL DEFAULT 0,
    weight       INTEGER NOT NULL DEFAULT 0,
    samples      INTEGER NOT NULL DEFAULT 0,
    correct      INTEGER NOT NULL DEFAULT 0,
    synaptic_ops INTEGER NOT NULL DEFAULT 0,
    bytes_up     INTEGER NOT NULL DEFAULT 0,
    bytes_down   INTEGER NOT NULL DEFAULT 0,
    opened_ms    INTEGER NOT NULL,
    closed_ms    INTEGER,
    UNIQUE (run_id, number, attempt)
) STRICT;

-- A run has one round at a time.
CREATE UNIQUE INDEX rounds_live ON rounds (run_id) WHERE closed_ms IS NULL;

-- A round's exact sum, at the narrowest width that holds it; kept, so that its version can be computed again.
CREATE TABLE sums (
    round_id INTEGER NOT NULL PRIMARY KEY REFERENCES rounds (id),
    lanes    BLOB    NOT NULL
) STRICT;

CREATE TABLE cohorts (
    round_id INTEGER NOT NULL REFERENCES rounds (id),
    node_id  TEXT    NOT NULL REFERENCES nodes (id),
    PRIMARY KEY (round_id, node_id)
) STRICT, WITHOUT ROWID;

-- What became of a contribution is its round's state: it is in a version if and only if the round was published.
CREATE TABLE contributions (
    round_id       INTEGER NOT NULL,
    node_id        TEXT    NOT NULL,
    payload_digest BLOB    NOT NULL CHECK (length(payload_digest) = 32),
    samples        INTEGER NOT NULL,
    correct        INTEGER NOT NULL,
    synaptic_ops   INTEGER NOT NULL,
    bytes_up       INTEGER NOT NULL,
    bytes_down     INTEGER NOT NULL,
    counted_ms     INTEGER NOT NULL,
    PRIMARY KEY (round_id, node_id),
    FOREIGN KEY (round_id, node_id) REFERENCES cohorts (round_id, node_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE versions (
    model            TEXT    NOT NULL REFERENCES models (name),
    number           INTEGER NOT NULL CHECK (number > 0),
    digest           BLOB    NOT NULL REFERENCES artifacts (digest),
    parent           INTEGER,
    round_id         INTEGER UNIQUE REFERENCES rounds (id),
    sum_digest       BLOB CHECK (length(sum_digest) = 32),       -- of sums.lanes
    optimizer_digest BLOB CHECK (length(optimizer_digest) = 32), -- of masters.lanes after the round
    created_ms       INTEGER NOT NULL,
    PRIMARY KEY (model, number),
    FOREIGN KEY (model, parent) REFERENCES versions (model, number),
    CHECK (parent IS NULL OR parent < number)
) STRICT, WITHOUT ROWID;

CREATE INDEX versions_by_digest ON versions (digest);

-- Accuracy of a version on samples that a node holds out.
CREATE TABLE evaluations (
    model       TEXT    NOT NULL REFERENCES models (name),
    digest      BLOB    NOT NULL REFERENCES artifacts (digest),
    node_id     TEXT    NOT NULL REFERENCES nodes (id),
    samples     INTEGER NOT NULL,
    correct     INTEGER NOT NULL,
    reported_ms INTEGER NOT NULL,
    PRIMARY KEY (model, digest, node_id)
) STRICT, WITHOUT ROWID;
