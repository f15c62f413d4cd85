"""Where chat comes from: one package per platform, each satisfying the gateway's Platform protocol."""
