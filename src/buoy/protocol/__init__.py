"""QQ as facts and pure machines: frames, sessions, events, requests, codes, limits."""
