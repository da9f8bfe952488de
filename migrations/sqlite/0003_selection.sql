-- Who was drawn when, so that turns go round; and runs that pause.

-- A narrow table of its own: a round writes a row here for each node of its cohort, and a node's row is wide.
CREATE TABLE turns (
    node_id  TEXT    NOT NULL PRIMARY KEY REFERENCES nodes (id),
    round_id INTEGER NOT NULL, -- the last round it was drawn for
    turns    INTEGER NOT NULL  -- in how many it was
) STRICT, WITHOUT ROWID;

INSERT INTO turns (node_id, round_id, turns)
SELECT node_id, max(round_id), count(*) FROM cohorts GROUP BY node_id;

-- A paused run keeps its state underneath: it goes on where it was.
ALTER TABLE runs ADD COLUMN paused INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1));
