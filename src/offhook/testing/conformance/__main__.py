"""Writes the rules into a page: `python -m offhook.testing.conformance PAGE.md`."""

import sys
from pathlib import Path

from offhook.testing.conformance.report_texts import with_rule_table

if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(with_rule_table(page.read_text(encoding="utf-8")), encoding="utf-8")
