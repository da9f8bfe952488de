-- What retention dropped, so that nobody takes it for lost: the row stays and says when, what it held is gone.
--
-- The bytes of a dropped artifact are empty. A round's receipts are its contributions and its cohort.
ALTER TABLE artifacts ADD COLUMN dropped_ms INTEGER;
ALTER TABLE rounds ADD COLUMN sum_dropped_ms INTEGER;
ALTER TABLE rounds ADD COLUMN receipts_dropped_ms INTEGER;
-- Contributions that are in the round's sum, and gone.
ALTER TABLE rounds ADD COLUMN receipts_dropped INTEGER NOT NULL DEFAULT 0;

-- What there may be to drop.
CREATE INDEX rounds_with_sum ON rounds (closed_ms) WHERE sum_dropped_ms IS NULL;
CREATE INDEX rounds_with_receipts ON rounds (closed_ms) WHERE receipts_dropped_ms IS NULL;

-- Where is looked whether there is room to write, after there was none. Empty otherwise.
CREATE TABLE room (
    id    INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    bytes BLOB    NOT NULL
) STRICT;
