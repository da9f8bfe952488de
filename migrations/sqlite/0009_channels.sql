-- Channels: movable names on versions, which nodes follow.

CREATE TABLE channels (
    model            TEXT    NOT NULL REFERENCES models (name),
    name             TEXT    NOT NULL,
    guard            TEXT,             -- NULL: nobody watches
    steps            TEXT    NOT NULL, -- a JSON array of percentages, the last one 100
    selector         TEXT    NOT NULL, -- which nodes may follow it, as in a plan
    auto             INTEGER NOT NULL CHECK (auto IN (0, 1)),
    approval         INTEGER NOT NULL CHECK (approval IN (0, 1)),
    evaluate_samples INTEGER NOT NULL CHECK (evaluate_samples > 0),
    pinned           INTEGER NOT NULL DEFAULT 0 CHECK (pinned IN (0, 1)),
    created_ms       INTEGER NOT NULL,
    PRIMARY KEY (model, name)
) STRICT, WITHOUT ROWID;

-- Whatever moved a channel, once. The newest one is the channel's state.
CREATE TABLE promotions (
    model        TEXT    NOT NULL,
    channel      TEXT    NOT NULL,
    number       INTEGER NOT NULL CHECK (number > 0), -- from 1, without gaps
    cause        TEXT    NOT NULL, -- created, promoted, published, rolled_back, tripped, pinned
    from_version INTEGER,          -- the channel's version before
    version      INTEGER NOT NULL,
    digest       BLOB    NOT NULL CHECK (length(digest) = 32),
    fallback     INTEGER,          -- the promotion whose version it returns to
    told         INTEGER NOT NULL, -- the number that nodes are told: that of the promotion that brought the version first
    state        TEXT    NOT NULL, -- waiting, rolling, done, tripped, rolled_back, superseded
    watched      INTEGER NOT NULL CHECK (watched IN (0, 1)),
    percent      INTEGER NOT NULL CHECK (percent BETWEEN 0 AND 100),
    since_report INTEGER NOT NULL, -- reports after this one count
    -- What its guard decided on last.
    nodes        INTEGER,
    samples      INTEGER,
    correct      INTEGER,
    actor        TEXT    NOT NULL,
    approved_by  TEXT,
    started_ms   INTEGER NOT NULL,
    ended_ms     INTEGER,
    PRIMARY KEY (model, channel, number),
    FOREIGN KEY (model, channel) REFERENCES channels (model, name),
    FOREIGN KEY (model, version) REFERENCES versions (model, number)
) STRICT, WITHOUT ROWID;

-- What a channel's guard turned back: it comes again by force alone.
CREATE TABLE bad_versions (
    model     TEXT    NOT NULL,
    channel   TEXT    NOT NULL,
    digest    BLOB    NOT NULL CHECK (length(digest) = 32),
    promotion INTEGER NOT NULL,
    at_ms     INTEGER NOT NULL,
    PRIMARY KEY (model, channel, digest),
    FOREIGN KEY (model, channel, promotion) REFERENCES promotions (model, channel, number)
) STRICT, WITHOUT ROWID;

-- Reports in the order in which they came, so that a guard reads each once and only those since its promotion began.
CREATE TABLE reports (
    one  INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    last INTEGER NOT NULL
) STRICT;

INSERT INTO reports (one, last) VALUES (1, 0);

ALTER TABLE evaluations ADD COLUMN report INTEGER NOT NULL DEFAULT 0;

CREATE INDEX evaluations_by_report ON evaluations (model, digest, report);
