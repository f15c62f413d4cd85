"""`buoy doctor`: looks at everything that a Buoy needs, and names what is wrong, why, and what to do.

:mod:`.examination` gathers :mod:`.facts` (thin, concurrent, bounded), :mod:`.judge` and its neighbours turn them into
findings (pure), :mod:`.words` says what each verdict means, :mod:`.show` prints, :mod:`.mend` does what is safe.
"""
