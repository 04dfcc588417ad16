"""What others test with: a clock to move, and the suite that proves a backend. Nothing here is needed to run typedgator.

`typedgator.testing.clock` needs nothing; `typedgator.testing.contract` needs pytest and hypothesis.
"""
