"""The durable layer: inbox, outbox and cursor in one SQLite file. Its rows are opaque to it."""
