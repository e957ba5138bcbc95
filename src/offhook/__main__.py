"""`python -m offhook` is `offhook`."""

import sys

from offhook.cli import main

sys.exit(main())
