"""The HTTP face: probes, metrics, the page and the API behind it, and sending for programs that are not Python."""
