"""What others test with: a clock to move, and the suite that proves a backend. typedgator itself never needs it.

`typedgator.testing.clock` needs nothing; `typedgator.testing.contract` needs pytest and hypothesis.
"""
