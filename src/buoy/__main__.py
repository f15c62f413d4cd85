"""`python -m buoy` is `buoy`."""

from buoy.faces.main import main

main()
