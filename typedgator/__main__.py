"""`python -m typedgator`."""

from typedgator.cli import main

if __name__ == "__main__":
    main(prog_name="typedgator")
