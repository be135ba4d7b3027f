"""`python -m minbpe` is the command `minbpe`."""

import sys

from minbpe.cli import main

sys.exit(main())
