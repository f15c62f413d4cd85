"""Neutral: inbox -> agent -> outbox -> platform, supervised. Knows no chat platform by name."""
