-- Schema 3: what the operator is told, and what runs by the clock.

-- The state of each bot from `at` on, until its next row: the timeline. up, down, blocked; off: no process.
CREATE TABLE history (
    id    INTEGER PRIMARY KEY,
    bot   TEXT    NOT NULL,
    shard INTEGER NOT NULL,
    at    REAL    NOT NULL,
    state TEXT    NOT NULL,
    cause TEXT    NOT NULL                    -- for people; empty: none
);
CREATE INDEX history_at ON history (bot, shard, at);

-- One row per trouble, from its beginning to its end. At most one is open for each rule and subject.
CREATE TABLE alert (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    rule       TEXT    NOT NULL,              -- a name of buoy.gateway.alerts.words
    subject    TEXT    NOT NULL,              -- the bot or task that it is about; empty: the process
    since      REAL    NOT NULL,              -- when the trouble began
    detail     TEXT    NOT NULL,              -- its newest cause; words.py says it in the operator's language
    times      INTEGER NOT NULL DEFAULT 1,    -- how often it happened, where it is a happening and not a condition
    last_at    REAL    NOT NULL,              -- when it happened last
    told       INTEGER NOT NULL DEFAULT 0,    -- how often it was told: by a notice, or by the log where there is no channel
    told_times INTEGER NOT NULL DEFAULT 0,    -- how many of `times` were told
    told_at    REAL,                          -- when it was told last
    ended_at   REAL
);
CREATE UNIQUE INDEX alert_open ON alert (rule, subject) WHERE ended_at IS NULL;
CREATE INDEX alert_ended ON alert (ended_at) WHERE ended_at IS NOT NULL;

-- What is to be said about an alert: a queue of its own, delivered by ways that are not QQ.
CREATE TABLE notice (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    alert      INTEGER,                       -- NULL: a test
    kind       TEXT    NOT NULL,              -- raised, repeated, recovered, test
    title      TEXT    NOT NULL,
    text       TEXT    NOT NULL,
    created_at REAL    NOT NULL,
    state      TEXT    NOT NULL,              -- queued, sent, dead
    attempts   INTEGER NOT NULL DEFAULT 0,
    not_before REAL    NOT NULL DEFAULT 0,
    channel    TEXT    NOT NULL DEFAULT '',   -- which one took it, without its address
    reason     TEXT    NOT NULL DEFAULT '',   -- why the last try failed
    settled_at REAL
);
CREATE INDEX notice_open ON notice (id) WHERE state = 'queued';

-- A dead letter and its alert commit together, whichever code path ended it: the database itself sees to that. So does a
-- letter that was tried and is held now: a quota, a permission or an allowlist, and its reason says which.
CREATE TRIGGER letter_ended AFTER UPDATE OF state ON outbox
WHEN (new.state = 'dead' OR new.state = 'unsure' OR (new.state = 'held' AND new.attempts > 0)) AND new.state <> old.state
BEGIN
    INSERT INTO alert (rule, subject, since, detail, last_at)
    VALUES (
        CASE new.state WHEN 'held' THEN 'refused_letter' ELSE new.state || '_letter' END, new.bot,
        coalesce(new.settled_at, new.attempted_at, new.created_at), 'out/' || new.id || ': ' || new.reason,
        coalesce(new.settled_at, new.attempted_at, new.created_at)
    )
    ON CONFLICT (rule, subject) WHERE ended_at IS NULL
    DO UPDATE SET times = times + 1, detail = excluded.detail, last_at = excluded.last_at;
END;
CREATE TRIGGER turn_ended AFTER UPDATE OF state ON inbox
WHEN new.state = 'dead' AND old.state <> 'dead'
BEGIN
    INSERT INTO alert (rule, subject, since, detail, last_at)
    VALUES (
        'dead_turn', new.bot, coalesce(new.ended_at, new.received_at), 'in/' || new.id || ': ' || new.reason,
        coalesce(new.ended_at, new.received_at)
    )
    ON CONFLICT (rule, subject) WHERE ended_at IS NULL
    DO UPDATE SET times = times + 1, detail = excluded.detail, last_at = excluded.last_at;
END;

CREATE TRIGGER gap_recorded AFTER INSERT ON gap
BEGIN
    INSERT INTO alert (rule, subject, since, detail, last_at)
    VALUES ('gap', new.bot, new.from_at, new.cause, new.to_at)
    ON CONFLICT (rule, subject) WHERE ended_at IS NULL
    DO UPDATE SET times = times + 1, detail = excluded.detail, last_at = excluded.last_at;
END;

-- What is sent, or asked of the agent, by the clock.
CREATE TABLE schedule (
    name       TEXT NOT NULL PRIMARY KEY,
    source     TEXT NOT NULL,                 -- file: from the settings; command: `buoy schedule add`
    cron       TEXT NOT NULL,
    zone       TEXT NOT NULL,                 -- IANA name
    target     TEXT NOT NULL,
    kind       TEXT NOT NULL,                 -- text: send it; prompt: let the agent answer it
    text       TEXT NOT NULL,
    misfire    TEXT NOT NULL,                 -- skip, once, all
    settled_to REAL NOT NULL,                 -- planned times up to here were fired or left out
    created_at REAL NOT NULL,
    fired_for  REAL,                          -- the planned time that was fired last
    fired_at   REAL,
    fired_ref  TEXT NOT NULL DEFAULT '',      -- what it became: out/9, in/7
    missed     INTEGER NOT NULL DEFAULT 0,    -- planned times that were left out, ever
    missed_at  REAL                           -- when that was found last
) WITHOUT ROWID;
