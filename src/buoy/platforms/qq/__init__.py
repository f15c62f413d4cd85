"""QQ: the protocol's machines driven over the transport."""
