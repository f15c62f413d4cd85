"""The only package that speaks to QQ over a socket; it has deadlines and no policy."""
