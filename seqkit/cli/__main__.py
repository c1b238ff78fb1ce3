from __future__ import annotations

import sys

from seqkit.cli import main

sys.exit(main())
