"""`python -m lossbench`, and `torchrun -m lossbench`: the command `lossbench`."""

from lossbench.cli.entry import main

main()
