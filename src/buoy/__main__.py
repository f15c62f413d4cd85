"""`python -m buoy` is `buoy`."""

from buoy.faces.cli import main

main()
