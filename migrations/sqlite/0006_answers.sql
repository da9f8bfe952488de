-- Answers to requests with an Idempotency-Key, each written in the transaction of its effect: the same request again
-- gets the same answer and does nothing.
CREATE TABLE answers (
    caller      TEXT    NOT NULL,
    method      TEXT    NOT NULL,
    path        TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    body_digest BLOB    NOT NULL CHECK (length(body_digest) = 32),
    status      INTEGER NOT NULL,
    location    TEXT,
    body        TEXT    NOT NULL,
    at_ms       INTEGER NOT NULL,
    PRIMARY KEY (caller, method, path, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX answers_by_age ON answers (at_ms);
