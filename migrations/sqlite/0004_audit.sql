-- Who did what: one entry a deed, in the transaction of the deed, each with the hash of the one before it. What a hash
-- covers stands in federation::audit. `detail` is JSON; retention drops it and leaves its digest, so that the chain holds.
CREATE TABLE audit (
    seq           INTEGER NOT NULL PRIMARY KEY CHECK (seq > 0), -- from 1, without gaps
    at_ms         INTEGER NOT NULL,
    actor         TEXT    NOT NULL,
    action        TEXT    NOT NULL,
    subject       TEXT    NOT NULL,
    detail        TEXT,
    detail_digest BLOB    NOT NULL CHECK (length(detail_digest) = 32),
    previous      BLOB    NOT NULL CHECK (length(previous) = 32), -- zeros in the first entry
    hash          BLOB    NOT NULL CHECK (length(hash) = 32)
) STRICT;

-- Against mistakes of ours; whoever can write the file can drop them, and the hashes are against him.
CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows');
END;

CREATE TRIGGER audit_is_never_edited
BEFORE UPDATE OF seq, at_ms, actor, action, subject, detail_digest, previous, hash ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows');
END;

CREATE TRIGGER audit_details_are_only_dropped BEFORE UPDATE OF detail ON audit WHEN NEW.detail IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows');
END;

-- The log's head before the entry that tells of the version. NULL: the version is older than the log.
ALTER TABLE versions ADD COLUMN audit_head BLOB CHECK (length(audit_head) = 32);
