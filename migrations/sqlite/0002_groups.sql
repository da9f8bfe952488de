-- Late updates and kept vectors.
--
-- The round whose sum holds a contribution, where that is not the round it was ordered in: an asynchronous run counts a
-- late update in its open round. NULL stands for round_id.
ALTER TABLE contributions ADD COLUMN counted_in INTEGER REFERENCES rounds (id);

CREATE INDEX contributions_late ON contributions (counted_in) WHERE counted_in IS NOT NULL;

-- Updates one by one, for strategies that need them so (median, trimmed mean), until their round is over.
CREATE TABLE vectors (
    round_id INTEGER NOT NULL REFERENCES rounds (id),
    node_id  TEXT    NOT NULL,
    lanes    BLOB    NOT NULL,
    PRIMARY KEY (round_id, node_id)
) STRICT;
