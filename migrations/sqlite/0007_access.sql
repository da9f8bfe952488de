-- Who may do what: tokens of people and tools, tokens with which nodes enrol, and what each node shows at every call. Of a
-- secret its SHA-256 is stored: it has 256 random bits, which no slow hash would make safer.
CREATE TABLE tokens (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name       TEXT    NOT NULL,
    scope      TEXT    NOT NULL CHECK (scope IN ('read', 'operate', 'admin')),
    hash       BLOB    NOT NULL CHECK (length(hash) = 32),
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER,
    revoked_ms INTEGER,
    used_ms    INTEGER -- written seldom
) STRICT;

CREATE TABLE enrolment_tokens (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name       TEXT    NOT NULL,
    hash       BLOB    NOT NULL CHECK (length(hash) = 32),
    labels     TEXT    NOT NULL, -- a JSON object of texts: what its nodes carry, whatever they say
    uses_max   INTEGER NOT NULL CHECK (uses_max > 0),
    uses       INTEGER NOT NULL DEFAULT 0 CHECK (uses BETWEEN 0 AND uses_max),
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER,
    revoked_ms INTEGER
) STRICT;

-- What the node shows, and the token that let it in: none of nodes that enrolled where no tokens were wanted.
ALTER TABLE nodes ADD COLUMN credential BLOB CHECK (credential IS NULL OR length(credential) = 32);
ALTER TABLE nodes ADD COLUMN enrolment_token INTEGER REFERENCES enrolment_tokens (id);
ALTER TABLE nodes ADD COLUMN revoked_ms INTEGER;
