-- Schema 2: what was done about a gap, and what each conversation allows.

-- What Buoy did when it noticed: for people, shown by `buoy status`.
ALTER TABLE gap ADD COLUMN done TEXT NOT NULL DEFAULT '';

-- Whether messages without an anchor are allowed in a conversation, learned from answers and events; no row: not known.
CREATE TABLE permission (
    bot       TEXT    NOT NULL,
    lane      TEXT    NOT NULL,
    proactive INTEGER NOT NULL,               -- 1 allowed, 0 refused
    at        REAL    NOT NULL,               -- when it was learned
    why       TEXT    NOT NULL,               -- the event or the code that told
    PRIMARY KEY (bot, lane)
) WITHOUT ROWID;
