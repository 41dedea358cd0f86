-- What nodes agree upon. Instants are unix milliseconds.

-- The right to do what one node at a time may do.
CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Work that is to be done once, by name.
CREATE TABLE ledger (
    work TEXT PRIMARY KEY,
    -- Who is at it, or did it.
    holder TEXT NOT NULL,
    -- 1 when it was done.
    done INTEGER NOT NULL,
    -- The row means nothing from then on.
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX ledger_by_age ON ledger (until);
