-- What happens, for those who watch: one row in the transaction of what it tells. Everything in the audit log is told
-- here too; rows here are dropped after a while, and numbers are never used again.
CREATE TABLE events (
    seq     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at_ms   INTEGER NOT NULL,
    kind    TEXT    NOT NULL, -- as audit.action
    subject TEXT    NOT NULL,
    actor   TEXT    NOT NULL,
    detail  TEXT    NOT NULL  -- a JSON object
) STRICT;
