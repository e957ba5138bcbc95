"""Finds links in the Markdown files that lead nowhere: to a file, a folder or a heading that is not there."""

import re
import subprocess
import sys
from pathlib import Path

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+\s+(.*)$", re.MULTILINE)
CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def anchor(heading: str) -> str:
    """A heading as hosting sites make it into a fragment."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def broken_links(page: Path) -> list[str]:
    """Each link of this page that leads nowhere, with the reason."""
    broken = []
    for link in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page.resolve()
        if not target.exists():
            broken.append(f"{page}: {link}: there is no {path}")
        elif fragment and target.suffix == ".md":
            headings = HEADING.findall(CODE.sub("", target.read_text(encoding="utf-8")))
            if fragment not in {anchor(heading) for heading in headings}:
                broken.append(f"{page}: {link}: there is no such heading")
    return broken


def main() -> int:
    """Check every Markdown file that git knows."""
    listed = subprocess.run(["git", "ls-files", "*.md"], capture_output=True, text=True, check=True).stdout.split("\n")
    pages = [Path(name) for name in listed if name]
    broken = [line for page in pages for line in broken_links(page)]
    sys.stdout.writelines(f"{line}\n" for line in (*broken, f"{len(pages)} pages, {len(broken)} broken links"))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
