-- Schema 1. Times are wall seconds since 1970 (REAL). States are the words of buoy.letters, readable in any SQLite shell.
-- Few indexes: each one is pages to write in every commit. Retention goes by id, which follows time.
-- No foreign keys: rows are pruned by age, and what refers to a pruned row treats it as gone.

-- One row per received frame, raw frame first. AUTOINCREMENT: an id is never given twice, even after pruning.
CREATE TABLE inbox (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    bot           TEXT    NOT NULL,
    shard         INTEGER NOT NULL,
    session       TEXT    NOT NULL,
    seq           INTEGER,
    type          TEXT    NOT NULL,
    key           TEXT    NOT NULL,           -- the platform's message or delivery id: what a duplicate meets
    frame         BLOB,                       -- NULL once pruned
    lane          TEXT,                       -- the conversation; NULL for events without one
    anchor        TEXT,                       -- what a reply refers to; NULL where none is possible
    event_at      REAL    NOT NULL,
    received_at   REAL    NOT NULL,
    bypass        INTEGER NOT NULL DEFAULT 0, -- does not wait for its lane
    state         TEXT    NOT NULL,           -- stored, waiting, running, done, dead
    reason        TEXT    NOT NULL DEFAULT '',
    boot          INTEGER,                    -- who claimed it last
    claimed_at    REAL,
    claimed_alone INTEGER NOT NULL DEFAULT 0, -- the last claim runs with nothing beside it
    not_before    REAL    NOT NULL DEFAULT 0,
    ended_at      REAL,
    attempts      INTEGER NOT NULL DEFAULT 0, -- runs charged; an orderly stop gives its run back
    alone         INTEGER NOT NULL DEFAULT 0, -- of those, runs alone
    failed        INTEGER NOT NULL DEFAULT 0, -- runs whose agent raised: count towards a dead letter (a time-out ends the turn)
    unclean       INTEGER NOT NULL DEFAULT 0, -- runs during which the process died: from two on it runs alone
    unclean_alone INTEGER NOT NULL DEFAULT 0, -- of those, while alone: count towards a dead letter
    uses          INTEGER NOT NULL DEFAULT 0, -- msg_seq of the newest reply attempted against `anchor`
    spent         INTEGER NOT NULL DEFAULT 0, -- the platform refused the anchor for good
    UNIQUE (key, bot),
    CHECK (state = 'stored' OR lane IS NOT NULL)
);
CREATE INDEX inbox_open ON inbox (bot, lane, id, state, bypass) WHERE state IN ('waiting', 'running') AND bypass = 0;
CREATE INDEX inbox_urgent ON inbox (id) WHERE state IN ('waiting', 'running') AND bypass = 1;
CREATE INDEX inbox_dead ON inbox (id) WHERE state = 'dead';
CREATE INDEX inbox_lane ON inbox (bot, lane, id) WHERE lane IS NOT NULL; -- history, anchors

-- One row per letter. (anchor_row, seq) is what the platform refuses to take twice; the index below enforces it here.
CREATE TABLE outbox (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    key          TEXT    NOT NULL,            -- idempotency key
    bot          TEXT    NOT NULL,
    lane         TEXT    NOT NULL,
    body         BLOB,                        -- as written; NULL once pruned
    carried      BLOB,                        -- what leaves instead, when other letters were merged into this one
    state        TEXT    NOT NULL,            -- queued, claimed, sent, held, unsure, dead, merged, dropped
    created_at   REAL    NOT NULL,
    event        INTEGER,                     -- inbox row it answers
    anchor_row   INTEGER,                     -- inbox row whose anchor the frozen attempt uses
    anchor       TEXT,
    seq          INTEGER,
    attempts     INTEGER NOT NULL DEFAULT 0,
    attempted_at REAL,
    boot         INTEGER,                     -- who claimed it last
    not_before   REAL    NOT NULL DEFAULT 0,
    settled_at   REAL,
    reason       TEXT    NOT NULL DEFAULT '',
    origin       TEXT    NOT NULL DEFAULT 'turn',
    remote_id    TEXT,
    into_id      INTEGER,                     -- the letter that carries this one
    code         INTEGER NOT NULL DEFAULT 0,  -- the platform's last error code
    trace_id     TEXT    NOT NULL DEFAULT '', -- the platform's name for the last request
    latency_ms   REAL,
    UNIQUE (key, bot)
);
CREATE INDEX outbox_open ON outbox (bot, lane, id, state) WHERE state IN ('queued', 'claimed');
CREATE INDEX outbox_held ON outbox (bot, lane, id) WHERE state = 'held';
-- OR, not IN: SQLite makes a table of an IN list of three for every row that it looks at.
CREATE INDEX outbox_bad ON outbox (state, id) WHERE state = 'unsure' OR state = 'dead' OR state = 'dropped';
CREATE UNIQUE INDEX outbox_seq ON outbox (anchor_row, seq) WHERE seq IS NOT NULL;
CREATE INDEX outbox_event ON outbox (event) WHERE event IS NOT NULL;

-- Where each session stands: RESUME continues after `stored`.
CREATE TABLE cursor (
    bot        TEXT    NOT NULL,
    shard      INTEGER NOT NULL,
    session    TEXT    NOT NULL,
    stored     INTEGER NOT NULL,
    updated_at REAL    NOT NULL,
    ready_at   REAL    NOT NULL,
    PRIMARY KEY (bot, shard)
) WITHOUT ROWID;

-- Every IDENTIFY, committed before it leaves: the daily budget, and the gap if READY never came.
CREATE TABLE identify (
    id       INTEGER PRIMARY KEY,
    bot      TEXT    NOT NULL,
    shard    INTEGER NOT NULL,
    at       REAL    NOT NULL,
    ready_at REAL
);
CREATE INDEX identify_at ON identify (bot, at);

-- Spans of time in which events may have been lost for good.
CREATE TABLE gap (
    id      INTEGER PRIMARY KEY,
    bot     TEXT    NOT NULL,
    shard   INTEGER NOT NULL,
    session TEXT    NOT NULL,
    stored  INTEGER NOT NULL,
    from_at REAL    NOT NULL,
    to_at   REAL    NOT NULL,
    cause   TEXT    NOT NULL
);

-- Abnormal happenings for `trace`: one row per row and text, however often it repeats.
CREATE TABLE note (
    ref     TEXT    NOT NULL,                 -- in/<inbox id> or out/<outbox id>
    text    TEXT    NOT NULL,
    at      REAL    NOT NULL,
    times   INTEGER NOT NULL DEFAULT 1,
    last_at REAL    NOT NULL,
    PRIMARY KEY (ref, text)
) WITHOUT ROWID;
CREATE INDEX note_last ON note (last_at);

-- Small JSON values: the boot number, the last health snapshot.
CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
